"""A run beside an earlier one, the baseline: suite by suite on the samples that both have graded. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gauntlet.answers import FAIL, PASS
from gauntlet.cases import Suite
from gauntlet.paired import bootstrap, holm, mcnemar, samples_to_see, visible_drop
from gauntlet.verdict import named

JSON = Mapping[str, Any]
ALPHA = 0.05
WORSE, BETTER, SAME, UNKNOWN = "worse", "better", "no clear difference", "not comparable"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One suite. Ids in `lost` passed in the baseline and fail now; `left_out`: not graded in both, or asked otherwise.

    `p` is adjusted for the number of suites that were looked at.
    """

    suite: str
    title: str
    importance: str
    before: int
    now: int
    n: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    left_out: int
    p: float = 1.0

    @property
    def rates(self) -> tuple[float, float]:
        return (self.before / self.n, self.now / self.n) if self.n else (0.0, 0.0)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate now minus the rate before."""
        return bootstrap(self.n, len(self.lost), len(self.gained))

    @property
    def visible(self) -> float | None:
        """The smallest drop that would have been seen four times out of five."""
        return visible_drop(self.n, (len(self.lost) + len(self.gained)) / self.n) if self.n else None

    @property
    def more(self) -> int:
        """About how many more samples would show the difference that seems to be there; 0 when there is none."""
        drop = (len(self.lost) - len(self.gained)) / self.n if self.n else 0
        if not drop or self.p < ALPHA:
            return 0
        needed = samples_to_see(abs(drop), (len(self.lost) + len(self.gained)) / self.n)
        return max(0, needed - self.n)

    @property
    def word(self) -> str:
        if not self.n:
            return UNKNOWN
        if self.p < ALPHA:
            return WORSE if len(self.lost) > len(self.gained) else BETTER
        return SAME

    @property
    def sentence(self) -> str:
        if not self.n:
            return f"{self.title}: no sample was graded in both runs."
        (before, now), (low, high) = self.rates, self.interval
        said = (
            f"{self.title}: {self.word}. {now:.0%} of {self.n} samples pass now, {before:.0%} before (difference "
            f"{(now - before) * 100:+.1f} points, between {low * 100:+.1f} and {high * 100:+.1f}; p = {self.p:.3g})"
        )
        if self.word == WORSE:
            return f"{said}. Lost: {named(self.lost)}."
        if self.word == BETTER:
            return f"{said}. Gained: {named(self.gained)}."
        seen = "there are too few samples to see any drop"
        if self.visible:
            seen = f"a drop of {self.visible:.0%} would most likely have been seen"
        more = f"; if it is real, about {self.more} more samples would show it" if self.more else ""
        return f"{said}; {seen}{more}."

    def as_dict(self) -> dict[str, Any]:
        names = ("suite", "title", "importance", "before", "now", "n", "left_out", "p", "word", "sentence", "more")
        lists = {"lost": list(self.lost), "gained": list(self.gained), "interval": list(self.interval)}
        return {name: getattr(self, name) for name in names} | lists | {"visible_drop": self.visible}


def compare(suites: Sequence[Suite], before: Sequence[JSON], now: Sequence[JSON]) -> tuple[Difference, ...]:
    """Rules of the suites, records of both runs. Suites that only measure are left out."""
    base = {record["id"]: record for record in before}
    found = [_difference(suite, base, now) for suite in suites if suite.pass_rate]
    looked_at = [difference for difference in found if difference.n]
    adjusted = dict(
        zip((d.suite for d in looked_at), holm([mcnemar(len(d.lost), len(d.gained)) for d in looked_at]), strict=True)
    )
    return tuple(
        Difference(**{**difference.__dict__, "p": adjusted.get(difference.suite, 1.0)}) for difference in found
    )


def _difference(suite: Suite, base: Mapping[str, JSON], now: Sequence[JSON]) -> Difference:
    mine = [record for record in now if record["id"].split("/", 1)[0] == suite.name]
    pairs = [(base[r["id"]], r) for r in mine if r["id"] in base and _comparable(base[r["id"]], r)]
    return Difference(
        suite=suite.name,
        title=suite.title,
        importance=suite.importance,
        before=sum(old["grade"] == PASS for old, _ in pairs),
        now=sum(new["grade"] == PASS for _, new in pairs),
        n=len(pairs),
        lost=tuple(sorted(new["id"] for old, new in pairs if (old["grade"], new["grade"]) == (PASS, FAIL))),
        gained=tuple(sorted(new["id"] for old, new in pairs if (old["grade"], new["grade"]) == (FAIL, PASS))),
        left_out=len(mine) - len(pairs),
    )


def _comparable(old: JSON, new: JSON) -> bool:
    graded = (PASS, FAIL)
    return old["grade"] in graded and new["grade"] in graded and old["messages"] == new["messages"]


def regressions(differences: Sequence[Difference]) -> tuple[str, ...]:
    """Sentences of the suites that decide something and became worse beyond doubt."""
    return tuple(d.sentence for d in differences if d.word == WORSE and d.importance != "advisory")
