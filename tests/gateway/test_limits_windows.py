"""The arithmetic of limits: a sliding minute, days and months, and what a minute's limit lets in."""

import calendar
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import estimate, refusal, windows
from gateway.auth.limits import NONE, Limits, limits_of
from gateway.auth.windows import DAY_COST, DAY_TOKENS, MONTH_TOKENS, NANO, REQUESTS, TOKENS
from lifecycle.errors import Refused

NOON = 1_790_000_000.0


@dataclass
class Line:
    """One subject's words, without a file."""

    words: list[int] = field(default_factory=lambda: [0] * 128)

    def let_in(self, limits: Limits, now: float, tokens: int = 0) -> int | None:
        """None: the call was let in and booked; else the seconds that it was told to wait."""
        step = windows.turn(self.words, 0, now)
        try:
            refusal.of_minute("It", limits, self.words, 0, tokens, now)
        except refusal.OverLimit as refused:
            return refused.retry_after_s
        windows.book(self.words, 0, REQUESTS, step, 1)
        windows.book(self.words, 0, TOKENS, step, tokens)
        return None


@given(st.lists(st.floats(0, 30), max_size=120), st.integers(1, 20))
def test_no_minute_ever_sees_more_than_the_limit(gaps: list[float], most: int) -> None:
    """Whenever calls come: within any 60 seconds, wherever they begin, at most so many were let in."""
    line, limits, now, let_in = Line(), Limits(requests_per_minute=most), NOON, []
    for gap in gaps:
        now += gap
        if line.let_in(limits, now) is None:
            let_in.append(now)
    for began in let_in:
        assert sum(began <= at < began + 60 for at in let_in) <= most


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=80), st.integers(50, 200))
def test_who_waits_as_told_is_let_in(calls: list[tuple[float, int]], most: int) -> None:
    """Retry-After is true: after so many seconds without other calls, this one fits; it is never more than 62."""
    line, limits, now = Line(), Limits(tokens_per_minute=most), NOON
    for gap, tokens in calls:
        now += gap
        wait = line.let_in(limits, now, tokens)
        if wait is not None:
            assert 0 < wait <= windows.WINDOW_S
            now += wait
            assert line.let_in(limits, now, tokens) is None


def test_a_call_that_never_fits_is_told_so() -> None:
    """More tokens than a whole minute has: no Retry-After, since no waiting helps."""
    line = Line()
    windows.turn(line.words, 0, NOON)
    with pytest.raises(refusal.OverLimit, match="smaller max_tokens") as refused:
        refusal.of_minute("Your key", Limits(tokens_per_minute=10), line.words, 0, 11, NOON)
    assert refused.value.retry_after_s is None and refused.value.status == 429


def test_tokens_are_given_back_where_they_were_booked() -> None:
    """A refund never makes a later step negative, and one that comes after the minute changes nothing."""
    line = Line()
    step = windows.turn(line.words, 0, NOON)
    windows.book(line.words, 0, TOKENS, step, 100)
    windows.turn(line.words, 0, NOON + 10)
    windows.book(line.words, 0, TOKENS, step, -60)
    assert windows.used(line.words, 0, TOKENS) == 40
    windows.turn(line.words, 0, NOON + 70)
    windows.book(line.words, 0, TOKENS, step, -40)
    assert windows.used(line.words, 0, TOKENS) == 0


@pytest.mark.parametrize("jump", [-5.0, -59.0])
def test_a_clock_that_goes_back_lets_nobody_in_twice(jump: float) -> None:
    """Time stands still until it is there again."""
    line, limits = Line(), Limits(requests_per_minute=1)
    assert line.let_in(limits, NOON) is None
    assert line.let_in(limits, NOON + jump) is not None


def test_a_clock_that_was_far_ahead_does_not_stop_us_for_hours() -> None:
    """An hour back: the ring begins anew."""
    line, limits = Line(), Limits(requests_per_minute=1)
    assert line.let_in(limits, NOON + 3600) is None
    assert line.let_in(limits, NOON) is None and line.let_in(limits, NOON) is not None


def test_days_and_months_end_at_midnight_utc() -> None:
    """What was used yesterday is no part of today's; what began last month belongs to neither."""
    words = [0] * 128
    last = calendar.timegm((2026, 10, 31, 23, 59, 50))
    windows.today(words, 0, last)
    windows.spend(words, 0, last, 10, NANO)
    assert (words[DAY_TOKENS], words[MONTH_TOKENS], words[DAY_COST]) == (10, 10, NANO)
    windows.today(words, 0, last + 20)
    assert (words[DAY_TOKENS], words[MONTH_TOKENS]) == (0, 0)
    windows.spend(words, 0, last, 10, NANO)
    assert (words[DAY_TOKENS], words[MONTH_TOKENS]) == (0, 0)
    assert windows.day_ends_s(last) == 10 and windows.month_ends_s(last) == 10
    assert windows.month_began(last) == calendar.timegm((2026, 10, 1, 0, 0, 0))
    assert windows.month_ends_s(calendar.timegm((2026, 12, 1, 0, 0, 0))) == 31 * 86400


def test_the_ledger_raises_sums_and_never_lowers_them() -> None:
    """What is reserved here may be in the ledger already; only what goes beyond it is news."""
    words = [0] * 128
    windows.at_least(words, 0, NOON, (100, 5), (300, 9))
    assert (words[DAY_TOKENS], words[DAY_COST], words[MONTH_TOKENS]) == (100, 5, 300)
    windows.at_least(words, 0, NOON, (130, 5), (200, 9), held=(40, 0))
    assert (words[DAY_TOKENS], words[MONTH_TOKENS]) == (100, 300)


@pytest.mark.parametrize(
    ("body", "prompt", "answer"),
    [
        ({"messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 5}, 103, 5),
        ({"messages": [{"content": [{"image_url": {"url": "data:image/png;base64," + "A" * 10**6}}]}]}, 1001, 1024),
        ({"prompt": list(range(500)), "max_completion_tokens": 7, "n": 3}, 501, 21),
        ({"prompt": "", "max_tokens": True, "n": 10**9}, 1, 1024),
    ],
)
def test_what_a_call_may_need(body: dict, prompt: int, answer: int) -> None:
    """A token for four letters, a thousand for a picture whatever its bytes, and as much as the caller allows."""
    assert abs(estimate.prompt_tokens(body) - prompt) <= 2 and estimate.answer_tokens(body) == answer


@pytest.mark.parametrize(
    ("given_", "wrong"),
    [
        ({"requests": 5}, "requests"), ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_day": 1.5}, "whole"), ({"cost_per_day": float("nan")}, "cost_per_day"),
        ({"cost_per_month": "10"}, "cost_per_month"), ({"requests_per_minute": True}, "True"),
    ],
)  # fmt: skip
def test_a_wrong_limit_is_refused_by_name(given_: dict, wrong: str) -> None:
    """The sentence names it, and the next step what it may be."""
    with pytest.raises(Refused) as refused:
        limits_of(given_)
    assert wrong in refused.value.advice


def test_limits_are_changed_one_by_one() -> None:
    """None takes one away, the others stay."""
    limits = Limits(requests_per_minute=5, cost_per_day=2.5)
    assert limits.changed({"requests_per_minute": None, "tokens_per_day": 9}).given() == {
        "cost_per_day": 2.5, "tokens_per_day": 9,
    }  # fmt: skip
    assert not NONE and limits and limits.budgets and not limits.counts_tokens
