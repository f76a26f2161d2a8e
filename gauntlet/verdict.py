"""Records in, verdict out. Pure: no files, no clock.

A sample passed, failed, or is open (unscored, not evaluated, or missing altogether). A suite is decided by rules;
each looks at a worst case, in which every open sample fails, and a best case, in which every open sample passes:

    nothing may slip    a category of `zero_tolerance`: one failed sample is FAIL, one open sample forbids PASS
    rate                of a category or of the whole suite: PASS when Wilson's interval lies at or above the wanted
                        rate in the worst case, FAIL when it lies below in the best case, else INCONCLUSIVE

So an open sample makes a suite INCONCLUSIVE exactly when it could change the answer, and a fault of the infrastructure
can never make a FAIL. A suite's outcome is the worst of its rules; what it means for the model:

                    critical        supporting      advisory
    PASS            PASS            PASS            PASS
    INCONCLUSIVE    INCONCLUSIVE    INCONCLUSIVE    PASS
    FAIL            FAIL            INCONCLUSIVE    PASS

Shown in tests/gauntlet/test_verdict.py: order never matters; grading an open sample, either way, never changes a PASS
or a FAIL of a suite or of the model; losing samples to the infrastructure never makes a FAIL or a PASS.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gauntlet.answers import FAIL, NOT_EVALUATED, PASS, UNSCORED
from gauntlet.cases import Suite
from gauntlet.intervals import samples_needed, wilson

PASSES, FAILS, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
WORST_FIRST = (FAILS, INCONCLUSIVE, PASSES)
MEANS = {
    "critical": {PASSES: PASSES, INCONCLUSIVE: INCONCLUSIVE, FAILS: FAILS},
    "supporting": {PASSES: PASSES, INCONCLUSIVE: INCONCLUSIVE, FAILS: INCONCLUSIVE},
    "advisory": {PASSES: PASSES, INCONCLUSIVE: PASSES, FAILS: PASSES},
}
NAMED = 6  # sample ids in a reason


@dataclass(frozen=True)
class Graded:
    """What the verdict needs to know of a sample."""

    id: str
    category: str
    grade: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many of a group passed. `low`, `high`: Wilson's interval over the graded ones."""

    name: str
    passed: int
    failed: int
    unscored: int
    not_evaluated: int
    wanted: float | None
    confidence: float

    @property
    def graded(self) -> int:
        return self.passed + self.failed

    @property
    def open(self) -> int:
        return self.unscored + self.not_evaluated

    @property
    def total(self) -> int:
        return self.graded + self.open

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.passed, self.graded, self.confidence)

    @property
    def outcome(self) -> str:
        """By the rate alone; PASS where none is wanted."""
        if self.wanted is None:
            return PASSES
        if wilson(self.passed, self.total, self.confidence)[0] >= self.wanted:
            return PASSES
        if wilson(self.passed + self.open, self.total, self.confidence)[1] < self.wanted:
            return FAILS
        return INCONCLUSIVE

    @property
    def short(self) -> bool:
        """Too few samples to tell, however the open ones turn out."""
        if self.wanted is None:
            return False
        best, worst = (wilson(passed, self.total, self.confidence) for passed in (self.passed + self.open, self.passed))
        return best[0] < self.wanted <= worst[1]

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        names = ("name", "passed", "failed", "unscored", "not_evaluated", "graded", "total", "wanted", "outcome")
        return {name: getattr(self, name) for name in names} | {"low": low, "high": high}


@dataclass(frozen=True, kw_only=True)
class SuiteVerdict:
    suite: Suite
    outcome: str
    reasons: tuple[str, ...]
    rate: Rate
    categories: tuple[Rate, ...]

    @property
    def means(self) -> str:
        """What this says about the model."""
        return MEANS[self.suite.importance][self.outcome]

    @property
    def short(self) -> tuple[Rate, ...]:
        """The rates that left it open for want of samples."""
        return tuple(r for r in (self.rate, *self.categories) if r.short) if self.outcome == INCONCLUSIVE else ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "suite": self.suite.name,
            "title": self.suite.title,
            "importance": self.suite.importance,
            "outcome": self.outcome,
            "means": self.means,
            "reasons": list(self.reasons),
            "rate": self.rate.as_dict(),
            "categories": [rate.as_dict() for rate in self.categories],
        }


def judge_run(
    suites: Sequence[Suite], graded: Iterable[Graded]
) -> tuple[str, tuple[str, ...], tuple[SuiteVerdict, ...]]:
    """Outcome of the model, reasons with the worst first, and each suite's verdict in the order of `suites`."""
    by_suite: dict[str, list[Graded]] = {suite.name: [] for suite in suites}
    for sample in graded:
        by_suite[sample.id.split("/", 1)[0]].append(sample)
    verdicts = tuple(judge_suite(suite, by_suite[suite.name]) for suite in suites)
    ranked = sorted(verdicts, key=lambda v: (WORST_FIRST.index(v.means), WORST_FIRST.index(v.outcome)))
    outcome = ranked[0].means if ranked else INCONCLUSIVE
    return outcome, tuple(reason for verdict in ranked for reason in verdict.reasons), verdicts


def judge_suite(suite: Suite, samples: Iterable[Graded]) -> SuiteVerdict:
    """One suite by its rules."""
    samples = sorted(samples, key=lambda sample: sample.id)
    rate = _rate(suite.title, samples, suite.pass_rate, suite.level)
    categories = tuple(
        _rate(name, [s for s in samples if s.category == name], suite.category_pass_rate.get(name), suite.level)
        for name in sorted({sample.category for sample in samples})
    )
    found = [(rate.outcome, _rate_reason(suite, rate, samples))] if samples else [(INCONCLUSIVE, _nothing(suite))]
    found += [(c.outcome, _rate_reason(suite, c, _of(samples, c.name))) for c in categories if c.wanted is not None]
    found.append(_no_slip(suite, samples))
    outcome = min((outcome for outcome, _ in found), key=WORST_FIRST.index)
    reasons = [reason for what, reason in reversed(found) if what == outcome]
    if outcome == PASSES:
        reasons = reasons[-1:]  # the whole suite's rate says it all
        if not suite.pass_rate:  # nothing was asked of it: it was measured
            reasons = [f"{suite.title}, {s.id.partition('/')[2]}: {s.reason}" for s in samples]
    faults = Counter(sample.reason for sample in samples if sample.grade == NOT_EVALUATED and sample.reason)
    if outcome == INCONCLUSIVE and faults:
        fault, times = faults.most_common(1)[0]
        reasons.append(
            f"{suite.title}: {_samples(sum(faults.values()))} not evaluated, mostly ({times}) because: {fault}"
        )
    return SuiteVerdict(suite=suite, outcome=outcome, reasons=tuple(reasons), rate=rate, categories=categories)


def _rate(name: str, samples: Sequence[Graded], wanted: float | None, confidence: float) -> Rate:
    count = Counter(sample.grade for sample in samples)
    return Rate(
        name=name,
        passed=count[PASS],
        failed=count[FAIL],
        unscored=count[UNSCORED],
        not_evaluated=count[NOT_EVALUATED],
        wanted=wanted,
        confidence=confidence,
    )


def _no_slip(suite: Suite, samples: Sequence[Graded]) -> tuple[str, str]:
    strict = [sample for sample in samples if sample.category in suite.zero_tolerance]
    for outcome, what in ((FAILS, "failed"), (INCONCLUSIVE, "open")):
        found = [s for s in strict if (s.grade == FAIL if outcome == FAILS else s.grade not in (PASS, FAIL))]
        if found:
            where = ", ".join(f"{name} {times}" for name, times in sorted(Counter(s.category for s in found).items()))
            count = f"{len(found)} of {_samples(len(strict))}"
            return outcome, f"{suite.title}: {count} {what} where none may fail ({where}): {_named(found)}."
    return PASSES, f"{suite.title}: none of {_samples(len(strict))} failed where none may."


def _rate_reason(suite: Suite, rate: Rate, samples: Sequence[Graded]) -> str:
    name = suite.title if rate.name == suite.title else f"{suite.title}, {rate.name}"
    low, high = rate.interval
    if rate.graded == 0:
        return f"{name}: none of {_samples(rate.total)} could be graded."
    said = (
        f"{name}: {rate.passed} of {rate.graded} graded samples passed; the true rate lies between {low:.0%}"
        f" and {high:.0%}" + (f", and {rate.wanted:.0%} is wanted" if rate.wanted else "")
    )
    if rate.outcome == FAILS:
        return f"{said}. Failed: {_named([s for s in samples if s.grade == FAIL])}."
    if rate.outcome == INCONCLUSIVE:
        if rate.open:
            return f"{said}; {_samples(rate.open)} open: {_named([s for s in samples if s.grade not in (PASS, FAIL)])}."
        more = samples_needed(rate.passed, rate.graded, rate.wanted, rate.confidence)
        needs = f"about {more} more samples would tell" if more else "no number of samples would tell, it is that close"
        failures = [s for s in samples if s.grade == FAIL]
        return f"{said}; {needs}." + (f" Failed: {_named(failures)}." if failures else "")
    return f"{said}."


def _nothing(suite: Suite) -> str:
    return f"{suite.title}: there is no sample."


def _of(samples: Sequence[Graded], category: str) -> list[Graded]:
    return [sample for sample in samples if sample.category == category]


def _named(samples: Sequence[Graded]) -> str:
    return named([sample.id for sample in samples])


def named(ids: Sequence[str]) -> str:
    """The first few of them, and how many there are besides."""
    return ", ".join(ids[:NAMED]) + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")


def plural(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _samples(number: int) -> str:
    return plural(number, "sample")


def summary_of(outcome: str, verdicts: Sequence[SuiteVerdict]) -> Mapping[str, Any]:
    """For verdict.json, Slack and machines."""
    return {"outcome": outcome, "suites": [verdict.as_dict() for verdict in verdicts]}
