"""Does a call fit into what is left? Whoever doesn't fit hears which limit it was and when to come back.

Errors and headers are OpenAI's: its clients, and Anthropic's, wait for `Retry-After` by themselves.
"""

from collections.abc import Iterable

from gateway.auth import shares, windows
from gateway.auth.limits import NAMES, Limits
from gateway.auth.subjects import Subject
from gateway.auth.windows import (
    DAY_COST,
    DAY_TOKENS,
    MONTH_COST,
    MONTH_TOKENS,
    NANO,
    REQUESTS,
    TOKENS,
    Words,
    day_ends_s,
    month_ends_s,
)
from gateway.errors import ApiError

HEADERS = (
    "x-ratelimit-limit-{0}: %d\r\n"
    "x-ratelimit-remaining-{0}: %d\r\n"
    f"x-ratelimit-reset-{{0}}: {windows.WINDOW_S}s\r\n"
)
OF_MINUTE = (
    ("requests_per_minute", REQUESTS, shares.OTHERS, HEADERS.format("requests").encode()),
    ("tokens_per_minute", TOKENS, shares.OTHERS + 1, HEADERS.format("tokens").encode()),
)
OF_TOKENS = (("tokens_per_day", DAY_TOKENS, day_ends_s), ("tokens_per_month", MONTH_TOKENS, month_ends_s))
OF_COSTS = (("cost_per_day", DAY_COST, day_ends_s), ("cost_per_month", MONTH_COST, month_ends_s))

OTHERS_S = 10
"""When a minute's limit was used up on other hosts, too: somewhere something is outdated by then."""


class OverLimit(ApiError):
    """`limit` is the name of the one that was met."""

    def __init__(self, sentence: str, code: str, limit: str, retry_after_s: int | None):
        super().__init__(429, sentence, "rate_limit_error", code, retry_after_s)
        self.limit = limit
        self.subject: Subject | None = None


class Short(Exception):
    """This host's share of a limit is used up. Other hosts may give some of theirs within a moment; if they don't,
    `refused` is what the caller hears."""

    def __init__(self, refused: OverLimit):
        super().__init__(str(refused))
        self.refused = refused


def of_share(subject: Subject, words: Words, at: int, meter: int, used: int, now: float) -> OverLimit:
    """The sentence is the limit's: how hosts share it is no business of a caller's."""
    name, whose = NAMES[meter], subject.whose
    most, used = getattr(subject.limits, name), used + words[at + shares.OTHERS + meter]
    if meter < shares.MINUTE:
        say, ring = ((_requests, REQUESTS), (_tokens, TOKENS))[meter]
        alone = windows.wait_s(words, at, ring, 1, now) if windows.used(words, at, ring) else OTHERS_S
        refused = say(whose, most, min(alone, OTHERS_S))
    else:
        wait = (day_ends_s if name.endswith("day") else month_ends_s)(now)
        if name.startswith("tokens"):
            refused = _spent(whose, name, f"{most:,} tokens", f"{max(0, most - used):,} are left", wait)
        else:
            refused = _spent(whose, name, f"a cost of {most:g}", f"{max(0.0, most - used / NANO):.4g} is left", wait)
    refused.subject = subject
    return refused


def of_minute(whose: str, limits: Limits, words: Words, at: int, tokens: int, now: float) -> None:
    """The rings must have been turned. Raises OverLimit."""
    if (most := limits.requests_per_minute) is not None:
        excess = windows.used(words, at, REQUESTS) + 1 - most
        if excess > 0:
            raise _requests(whose, most, windows.wait_s(words, at, REQUESTS, excess, now))
    if (most := limits.tokens_per_minute) is not None:
        if tokens > most:
            sentence = (
                f"This request may need about {tokens:,} tokens, and {whose.lower()} may use {most:,} a minute."
                " Send less, or set a smaller max_tokens."
            )
            raise OverLimit(sentence, "request_too_large", "tokens_per_minute", None)
        excess = windows.used(words, at, TOKENS) + max(tokens, 1) - most
        if excess > 0:
            raise _tokens(whose, most, windows.wait_s(words, at, TOKENS, excess, now))


def of_tokens(whose: str, limits: Limits, words: Words, at: int, held: int, tokens: int, now: float) -> None:
    """`held` is reserved by running calls. Raises OverLimit."""
    for name, place, ends_s in OF_TOKENS:
        most = getattr(limits, name)
        if most is not None and words[at + place] + held + max(tokens, 1) > most:
            left = max(0, most - words[at + place] - held)
            raise _spent(whose, name, f"{most:,} tokens", f"{left:,} are left", ends_s(now))


def of_costs(whose: str, limits: Limits, words: Words, at: int, held: int, cost: int, now: float) -> None:
    """`cost` and `held` in billionths. Raises OverLimit."""
    for name, place, ends_s in OF_COSTS:
        most = getattr(limits, name)
        if most is not None and words[at + place] + held + max(cost, 1) > most * NANO:
            left = max(0.0, most - (words[at + place] + held) / NANO)
            raise _spent(whose, name, f"a cost of {most:g}", f"{left:.4g} is left", ends_s(now))


def headers(lines: Iterable[tuple[Subject, int]], words: Words) -> bytes:
    """x-ratelimit-…, of whoever has the least left in the rings, which must have been turned."""
    said = b""
    for name, ring, others, template in OF_MINUTE:
        least = None
        for subject, at in lines:
            most = getattr(subject.limits, name)
            if most is not None:
                left = most - windows.used(words, at, ring) - words[at + others]
                if least is None or left < least:
                    least, of = left, most
        if least is not None:
            said += template % (of, max(0, least))
    return said


def _requests(whose: str, most: int, wait: int) -> OverLimit:
    sentence = f"{whose} may make {most:,} requests a minute, and has. Try again in {wait} s."
    return OverLimit(sentence, "rate_limit_exceeded", "requests_per_minute", wait)


def _tokens(whose: str, most: int, wait: int) -> OverLimit:
    sentence = f"{whose} may use {most:,} tokens a minute. Try again in {wait} s, or set a smaller max_tokens."
    return OverLimit(sentence, "rate_limit_exceeded", "tokens_per_minute", wait)


def _spent(whose: str, name: str, most: str, left: str, wait: int) -> OverLimit:
    span = name.rpartition("_")[2]
    sentence = (
        f"{whose} may use {most} a {span}, and {left} of it, too little for this request. The next {span} begins in"
        f" {_duration(wait)} (UTC); whoever runs the gateway can raise the limit."
    )
    return OverLimit(sentence, "insufficient_quota", name, wait)


def _duration(seconds: int) -> str:
    if seconds >= 2 * 86400:
        return f"{seconds // 86400} days"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min" if seconds >= 3600 else f"{seconds // 60} min"
