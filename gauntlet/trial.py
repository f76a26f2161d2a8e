"""One sample from question to record: ask, check, let the judge have its say."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from gauntlet.answers import FAIL, NOT_EVALUATED, PASS, UNSCORED, Answer, Mark
from gauntlet.cases import Case, Sample
from gauntlet.checks import CHECKS, CRITERIA, with_judge
from gauntlet.client import Client
from gauntlet.judge import Judge
from gauntlet.outage import Outage
from lifecycle.errors import DayzeroError


async def try_sample(sample: Sample, client: Client, model: str, judge: Judge | None, outage: Outage) -> dict[str, Any]:
    """The record of one sample. Never raises for what an endpoint does: that is a record, not evaluated."""
    case, answers, opinion, marks = sample.case, [], None, []
    try:
        answers = await _ask(case, client, model, outage)
        for check in case.checks:
            mark = CHECKS[check](case, answers)
            if judge is not None and check in CRITERIA:
                opinion = await judge.ask(CRITERIA[check], case, answers[0].said)
                mark = with_judge(check, mark, opinion.mark)
            marks.append((check, mark))
        verdict = together([mark for _, mark in marks])
    except DayzeroError as fault:
        who = f"The judge {judge.model} could not be asked" if answers and judge else "The model could not be asked"
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
        "judge": opinion and {"model": judge.model, **opinion.record},
        "at": time.time(),
    }


def together(marks: Sequence[Mark]) -> Mark:
    """One failed check fails the sample; else one unscored leaves it unscored."""
    for grade in (FAIL, UNSCORED):
        found = [mark for mark in marks if mark.grade == grade]
        if found:
            return Mark(grade, " ".join(mark.reason for mark in found))
    return Mark(PASS, " ".join(dict.fromkeys(mark.reason for mark in marks)))


async def _ask(case: Case, client: Client, model: str, outage: Outage) -> list[Answer]:
    if "speed" in case.checks:
        burst = [outage.ride_out(lambda: client.ask(model, case, stream=True)) for _ in range(case.parallel)]
        # all are waited for, so that a failed one leaves no request behind
        ended = await asyncio.gather(*burst, return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
        return ended
    answers = [await outage.ride_out(lambda: client.ask(model, case))]
    if "streamed" in case.checks:
        answers.append(await outage.ride_out(lambda: client.ask(model, case, stream=True)))
    return answers
