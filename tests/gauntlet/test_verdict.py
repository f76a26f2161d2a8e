"""The verdict's promises, as properties."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gauntlet.answers import FAIL, GRADES, NOT_EVALUATED, PASS, UNSCORED
from gauntlet.cases import Suite
from gauntlet.intervals import samples_needed, wilson
from gauntlet.verdict import Graded, judge_run, judge_suite

OPEN = (UNSCORED, NOT_EVALUATED)
CATEGORIES = ("insider", "control")
shares = st.floats(0, 1)
# a busy machine is no reason to fail
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def suites(draw: st.DrawFn) -> tuple[Suite, ...]:
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True))
    return tuple(
        Suite(
            name=name,
            title=name.upper(),
            importance=draw(st.sampled_from(["critical", "supporting", "advisory"])),
            pass_rate=draw(shares),
            zero_tolerance=draw(st.sampled_from([(), ("insider",)])),
            category_pass_rate=draw(st.sampled_from([{}, {"control": 0.5}])),
        )
        for name in names
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[tuple[Suite, ...], list[Graded]]:
    found = draw(suites())
    samples = []
    for suite in found:
        grades = draw(
            st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(CATEGORIES)), min_size=1, max_size=25)
        )
        samples += [Graded(f"{suite.name}/{i}", category, grade) for i, (grade, category) in enumerate(grades)]
    return found, samples


def _outcomes(found: tuple[Suite, ...], samples: list[Graded]) -> tuple[str, ...]:
    outcome, _, verdicts = judge_run(found, samples)
    return (outcome, *(verdict.outcome for verdict in verdicts))


@calm
@given(runs(), st.randoms())
def test_order_never_matters(run, shuffle: random.Random):
    """Outcomes and every word of the reasons are the same in any order of the samples."""
    found, samples = run
    shuffled = list(samples)
    shuffle.shuffle(shuffled)
    assert judge_run(found, samples)[:2] == judge_run(found, shuffled)[:2]


@calm
@given(runs(), st.data())
def test_grading_an_open_sample_never_changes_a_decision(run, data: st.DataObject):
    """More evidence never makes it less sure: PASS and FAIL, of a suite and of the model, stay when open ones close."""
    found, samples = run
    closed = [
        Graded(s.id, s.category, data.draw(st.sampled_from([PASS, FAIL, s.grade]))) if s.grade in OPEN else s
        for s in samples
    ]
    for before, after in zip(_outcomes(found, samples), _outcomes(found, closed), strict=True):
        assert before in ("INCONCLUSIVE", after)


@calm
@given(runs(), st.data())
def test_an_infrastructure_fault_never_makes_a_fail_or_a_pass(run, data: st.DataObject):
    """Losing samples can only take certainty away."""
    found, samples = run
    lost = [Graded(s.id, s.category, NOT_EVALUATED) if data.draw(st.booleans()) else s for s in samples]
    for before, after in zip(_outcomes(found, samples), _outcomes(found, lost), strict=True):
        assert after in ("INCONCLUSIVE", before)


@calm
@given(st.integers(1, 40), st.integers(0, 40), st.integers(2, 5), st.floats(0.05, 0.95))
def test_the_same_evidence_several_times_never_undoes_a_decision(total: int, good: int, times: int, wanted: float):
    """k of n decided: then also (m k) of (m n), for a suite that is judged by its rate."""
    good = min(good, total)
    suite = Suite(name="a", title="A", pass_rate=wanted, category_pass_rate={})

    def outcome(factor: int) -> str:
        grades = [PASS] * good * factor + [FAIL] * (total - good) * factor
        return judge_suite(suite, [Graded(f"a/{i}", "", grade) for i, grade in enumerate(grades)]).outcome

    assert outcome(1) in ("INCONCLUSIVE", outcome(times))


@calm
@given(runs())
def test_nothing_evaluated_is_inconclusive_unless_nothing_was_wanted(run):
    """A dead endpoint decides nothing."""
    found, samples = run
    dead = [Graded(s.id, s.category, NOT_EVALUATED, "no connection") for s in samples]
    _, _, verdicts = judge_run(found, dead)
    for verdict in verdicts:
        assert verdict.outcome == "INCONCLUSIVE" or (verdict.outcome == "PASS" and verdict.suite.pass_rate < 1e-9)


def test_one_slip_fails_where_none_may():
    """99 of 100 is far above the wanted rate, and still a FAIL that names the sample."""
    suite = Suite(name="c", title="C", pass_rate=0.5, zero_tolerance=("insider",), category_pass_rate={})
    samples = [Graded(f"c/{i}", "insider", FAIL if i == 7 else PASS) for i in range(100)]
    verdict = judge_suite(suite, samples)
    assert verdict.outcome == "FAIL"
    assert verdict.reasons == ("C: 1 of 100 samples failed where none may fail (insider 1): c/7.",)


def test_an_open_sample_forbids_pass_where_none_may_fail():
    """One that could not be asked might have been the slip."""
    suite = Suite(name="c", title="C", pass_rate=0.5, zero_tolerance=("insider",), category_pass_rate={})
    samples = [Graded(f"c/{i}", "insider", NOT_EVALUATED if i == 7 else PASS, "no connection") for i in range(100)]
    assert judge_suite(suite, samples).outcome == "INCONCLUSIVE"


def test_importance_says_what_a_failed_suite_means():
    """critical fails the model, supporting asks a person, advisory only shows."""
    for importance, outcome in [("critical", "FAIL"), ("supporting", "INCONCLUSIVE"), ("advisory", "PASS")]:
        suite = Suite(name="a", title="A", importance=importance, pass_rate=0.5, category_pass_rate={})
        assert judge_run([suite], [Graded(f"a/{i}", "", FAIL) for i in range(20)])[0] == outcome


def test_too_few_samples_say_how_many_more():
    """Not sure, and a number to become sure."""
    suite = Suite(name="a", title="A", pass_rate=0.75, category_pass_rate={})
    verdict = judge_suite(suite, [Graded(f"a/{i}", "", PASS) for i in range(5)])
    assert verdict.outcome == "INCONCLUSIVE"
    assert "about 7 more samples would tell" in verdict.reasons[0]


def test_no_suite_and_no_sample_is_no_pass():
    """Nothing asked, nothing known."""
    assert judge_run([], [])[0] == "INCONCLUSIVE"
    assert judge_suite(Suite(name="a", title="A", pass_rate=0.1, category_pass_rate={}), []).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("good", "total", "low", "high"),
    # by hand from the formula with z = 1.959964, to four digits
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_against_known_values(good: int, total: int, low: float, high: float):
    """The textbook's figures."""
    assert wilson(good, total) == pytest.approx((low, high), abs=5e-5)


@calm
@given(st.integers(0, 200), st.integers(0, 200))
def test_wilson_holds_the_rate_and_grows_with_it(a: int, b: int):
    """0 ≤ low ≤ rate ≤ high ≤ 1, and one more that passes raises both ends."""
    good, total = min(a, b), max(a, b) + 1
    low, high = wilson(good, total)
    assert 0 <= low <= good / total <= high <= 1
    assert wilson(good + 1, total) >= (low, high)


def test_samples_needed():
    """None where nothing is known; 0 where it is decided."""
    assert samples_needed(0, 0, 0.5) is None
    assert samples_needed(100, 100, 0.5) == 0
