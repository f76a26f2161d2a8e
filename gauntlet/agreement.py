"""How far raters agree: each judge with people, two judges with each other, two people with each other. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from gauntlet.answers import FAIL, PASS
from gauntlet.intervals import wilson
from gauntlet.paired import kappa

JSON = Mapping[str, Any]
PEOPLE = "people"
FEW = 20  # samples, below which an agreement says little


@dataclass(frozen=True)
class Agreement:
    """What `one` and `other` said of the samples that both graded."""

    one: str
    other: str
    both_pass: int
    one_only: int  # `one` let it pass, `other` did not
    other_only: int
    both_fail: int

    @property
    def n(self) -> int:
        return self.both_pass + self.one_only + self.other_only + self.both_fail

    @property
    def kappa(self) -> float | None:
        return kappa(self.both_pass, self.one_only, self.other_only, self.both_fail)

    @property
    def sentence(self) -> str:
        agreed = self.both_pass + self.both_fail
        low, high = wilson(agreed, self.n)
        said = f"{self.one} and {self.other} agree on {agreed} of {self.n} samples that both graded"
        said += f" (true rate between {low:.0%} and {high:.0%}"
        said += f", Cohen's kappa {self.kappa:.2f})." if self.kappa is not None else ")."
        if self.one_only:
            said += f" {self.one} let {self.one_only} pass that {self.other} did not."
        return said + (" That is too few to trust it by." if self.n < FEW else "")

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "n": self.n, "kappa": self.kappa, "sentence": self.sentence}


def agreements(records: Sequence[JSON]) -> tuple[Agreement, ...]:
    """Each judge with people's verdict first, then judges and then people among themselves; pairs that met only."""
    judges: dict[str, dict[str, str]] = {}
    raters: dict[str, dict[str, str]] = {}
    verdict: dict[str, str] = {}
    for record in records:
        for said in record.get("judges", ()):
            _keep(judges, said["model"], record["id"], said["verdict"])
        for said in record.get("people", ()):
            _keep(raters, said["by"], record["id"], said["grade"])
        if record.get("people") and record["grade"] in (PASS, FAIL):
            verdict[record["id"]] = record["grade"]
    pairs = [(name, said, PEOPLE, verdict) for name, said in sorted(judges.items())]
    for group in (judges, raters):
        pairs += [(*one, *other) for one, other in combinations(sorted(group.items()), 2)]
    return tuple(found for pair in pairs if (found := _agreement(*pair)).n)


def _keep(by_rater: dict[str, dict[str, str]], rater: str, sample: str, grade: str) -> None:
    if grade in (PASS, FAIL):
        by_rater.setdefault(rater, {})[sample] = grade


def _agreement(one: str, first: Mapping[str, str], other: str, second: Mapping[str, str]) -> Agreement:
    said = [(first[sample], second[sample]) for sample in first if sample in second]
    cells = [(PASS, PASS), (PASS, FAIL), (FAIL, PASS), (FAIL, FAIL)]
    return Agreement(one, other, *(said.count(cell) for cell in cells))
