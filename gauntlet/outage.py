"""Patience: how often, how long, and when to give up on an endpoint that fails.

One Outage is shared by all samples of a shard: while nothing at all succeeds its clock runs, so that a dead endpoint
costs the patience once, and not once for each sample.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lifecycle.errors import Transient

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0


class Outage:
    """`patience_s`: how long faults may last without one success."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic):
        self.patience_s = patience_s
        self._clock = clock
        self._since: float | None = None
        self.refusals = 0  # attempts that the endpoint asked us to make later
        self.sentence = ""  # of the fault that is being waited out; empty when all is well

    async def ride_out(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat `attempt` while it raises Transient, with back-off; raise the last one when patience is spent."""
        mine: float | None = None
        wait = FIRST_WAIT_S
        while True:
            try:
                result = await attempt()
            except Transient as fault:
                now = self._clock()
                mine = now if mine is None else mine
                self._since = now if self._since is None else self._since
                self.sentence = str(fault)
                self.refusals += fault.retry_after_s is not None or getattr(fault, "busy", False)
                left = self.patience_s - (now - min(mine, self._since))
                if left <= 0:
                    raise
                pause = wait * random.uniform(0.75, 1.25) if fault.retry_after_s is None else fault.retry_after_s
                await asyncio.sleep(min(pause, left))
                wait = min(wait * 2, LONGEST_WAIT_S)
            else:
                self._since, self.sentence = None, ""
                return result
