"""One sample from question to record: ask, check, let the judge have its say."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from gauntlet.answers import FAIL, NOT_EVALUATED, PASS, UNSCORED, Answer, Mark, of, unscored
from gauntlet.asking import Asking, ask
from gauntlet.cases import Case, Sample
from gauntlet.checks import CHECKS, CRITERIA, with_judge
from gauntlet.checks_code import code
from gauntlet.panel import Panel
from lifecycle.errors import DayzeroError


async def try_sample(sample: Sample, asking: Asking, panel: Panel | None) -> dict[str, Any]:
    """The record of one sample. Never raises for what an endpoint does: that is a record, not evaluated."""
    case, answers, marks, opinions = sample.case, [], [], []
    try:
        answers = await ask(case, asking)
        for check in case.checks:
            mark, said = await _mark(check, case, answers, panel)
            marks.append((check, mark))
            opinions += said
        verdict = together([mark for _, mark in marks])
    except DayzeroError as fault:
        who = "The judge could not be asked" if answers else "The model could not be asked"
        verdict = Mark(NOT_EVALUATED, f"{who}: {fault}")
    except Exception as error:
        # one poisoned sample must not stop the shard
        verdict = Mark(UNSCORED, f"It could not be graded ({type(error).__name__}: {error}); please report this.")
    return {
        "id": sample.id,
        "category": case.category,
        "messages": list(case.messages),
        "grade": verdict.grade,
        "reason": verdict.reason,
        "checks": [{"check": check, "grade": mark.grade, "reason": mark.reason} for check, mark in marks],
        "answers": [answer.as_dict() for answer in answers],
        "judges": opinions,
        "at": time.time(),
    }


async def _mark(
    check: str, case: Case, answers: Sequence[Answer], panel: Panel | None
) -> tuple[Mark, Sequence[dict[str, Any]]]:
    """The check's mark, and what judges said on the way to it."""
    if check == "code":
        return await asyncio.to_thread(code, case, answers), ()
    if check == "better":
        if panel is None:
            return unscored("No judge is set, so a person must compare the two answers."), ()
        rival = of(answers, "rival")[0]
        found = await panel.compare(case, answers[0].said, rival.said)
        return found.mark, found.said
    mark = CHECKS[check](case, answers)
    if panel is None or check not in CRITERIA:
        return mark, ()
    found = await panel.ask(CRITERIA[check], case, answers[0].said)
    return with_judge(check, mark, found.mark), found.said


def together(marks: Sequence[Mark]) -> Mark:
    """One failed check fails the sample; else one unscored leaves it unscored."""
    for grade in (FAIL, UNSCORED):
        found = [mark for mark in marks if mark.grade == grade]
        if found:
            return Mark(grade, " ".join(mark.reason for mark in found))
    return Mark(PASS, " ".join(dict.fromkeys(mark.reason for mark in marks)))
