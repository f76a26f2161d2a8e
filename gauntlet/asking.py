"""Which requests a sample makes: the plain one, and what its checks need beside it (the table MORE at the end)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gauntlet.answers import Answer
from gauntlet.cases import Case
from gauntlet.client import Client
from gauntlet.loads import LABEL, knee_of, steps_of
from gauntlet.outage import Outage

ROUNDS = 2  # requests of each caller in a step of the load


@dataclass(frozen=True)
class Asking:
    """Whom to ask. `rival`: the model to be compared with, '' for none."""

    client: Client
    model: str
    outage: Outage
    rival: str = ""

    async def once(self, case: Case, asked: str = "", *, stream: bool = False, model: str = "") -> Answer:
        """One answer, however often it must be tried. Transient when patience is spent, Permanent when refused."""
        return await self.outage.ride_out(
            lambda: self.client.ask(model or self.model, case, stream=stream, asked=asked)
        )

    async def burst(self, case: Case, asked: str, at_once: int, *, stream: bool) -> list[Answer]:
        """So many at once; all are waited for, so that a failed one leaves no request behind."""
        ended = await asyncio.gather(
            *(self.once(case, asked, stream=stream) for _ in range(at_once)), return_exceptions=True
        )
        for one in ended:
            if isinstance(one, BaseException):
                raise one
        return ended


async def ask(case: Case, asking: Asking) -> list[Answer]:
    """Every answer that the case's checks look at, the plain one first."""
    for check, only in ONLY.items():
        if check in case.checks:
            return await only(case, asking)
    answers = [await asking.once(case)]
    for check in case.checks:
        if check in MORE:
            answers += await MORE[check](case, asking)
    return answers


async def _speed(case: Case, asking: Asking) -> list[Answer]:
    return await asking.burst(case, "", case.parallel, stream=True)


async def _load(case: Case, asking: Asking) -> list[Answer]:
    """More and more callers at once, until that brings no more tokens per second, or `parallel` is reached."""
    answers: list[Answer] = []
    at_once = 1
    while at_once <= case.parallel:
        for _ in range(ROUNDS):
            answers += await asking.burst(case, f"{LABEL}{at_once}", at_once, stream=True)
        steps = steps_of(answers)
        if knee_of(steps) is not steps[-1]:
            break
        at_once *= 2
    return answers


async def _streamed(case: Case, asking: Asking) -> list[Answer]:
    return [await asking.once(case, "streamed", stream=True)]


async def _again(case: Case, asking: Asking) -> list[Answer]:
    return [await asking.once(case, "again"), await asking.once(case, "again")]


async def _together(case: Case, asking: Asking) -> list[Answer]:
    return await asking.burst(case, "together", case.parallel, stream=False)


async def _rival(case: Case, asking: Asking) -> list[Answer]:
    return [await asking.once(case, "rival", model=asking.rival)]


Ask = Callable[[Case, Asking], Awaitable[list[Answer]]]
ONLY: dict[str, Ask] = {"speed": _speed, "load": _load}
MORE: dict[str, Ask] = {"streamed": _streamed, "again": _again, "together": _together, "better": _rival}
