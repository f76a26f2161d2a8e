"""One judge or two: what they say together, and which of two answers they prefer.

Two judges that agree are believed. Where they differ nobody is right until a person looks; where one can't be read,
the other's word stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gauntlet.answers import FAIL, PASS, UNSCORED, Mark, failed, passed, unscored
from gauntlet.cases import Case
from gauntlet.judge import Judge

GRADED = (PASS, FAIL)


@dataclass(frozen=True)
class Finding:
    """What the judges say together, and each by itself, as it is kept in the record."""

    mark: Mark
    said: tuple[dict[str, Any], ...]


class Panel:
    """`judges`: at least one."""

    def __init__(self, judges: Sequence[Judge]):
        self._judges = tuple(judges)

    async def ask(self, criterion: str, case: Case, said: str) -> Finding:
        """One criterion of one answer. Infrastructure faults pass through."""
        found = [(judge.model, await judge.ask(criterion, case, said)) for judge in self._judges]
        records = tuple({"model": model, **opinion.record} for model, opinion in found)
        return Finding(together([(model, opinion.mark) for model, opinion in found]), records)

    async def compare(self, case: Case, mine: str, rival: str) -> Finding:
        """Is `mine` at least as good as `rival`? Each judge sees both orders; one that changes its mind says tie."""
        marks, records = [], []
        for judge in self._judges:
            there = await judge.prefer(case.question, mine, rival)
            back = await judge.prefer(case.question, rival, mine)
            mark = of_both_orders(there.word, back.word, there.reason)
            marks.append((judge.model, mark))
            raw = f"{there.raw}\n{back.raw}"
            records.append({"model": judge.model, "verdict": mark.grade, "reason": mark.reason, "raw": raw})
        return Finding(together(marks), tuple(records))


def of_both_orders(there: str, back: str, reason: str) -> Mark:
    """`there`: the verdict with our answer first; `back`: with it second."""
    if not there or not back:
        return unscored("The judge's preference could not be read, twice.")
    if (there, back) == ("first", "second"):
        return passed(f"Better than the other in both orders: {reason}")
    if (there, back) == ("second", "first"):
        return failed(f"Worse than the other in both orders: {reason}")
    return passed("As good as the other: the judge's preference hangs on the order.")


def together(marks: Sequence[tuple[str, Mark]]) -> Mark:
    """One mark out of the judges'; `marks`: judge and mark."""
    if len(marks) == 1:
        return marks[0][1]
    readable = [(who, mark) for who, mark in marks if mark.grade in GRADED]
    words = " ".join(f"{who}: {mark.reason}" for who, mark in readable or marks)
    grades = {mark.grade for _, mark in readable}
    if len(grades) == 1:
        return Mark(grades.pop(), words)
    said = ", ".join(f"{who} says {mark.grade}" for who, mark in readable)
    return unscored(f"The judges differ ({said}). {words}") if readable else Mark(UNSCORED, words)
