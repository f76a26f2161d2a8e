"""How many samples are asked at once: as many as the server makes something of, and fewer as soon as it says so.

Additive increase, multiplicative decrease, as TCP does it: every sample that comes back in time opens the gate a
little, quickly at first; a server that says 429 or 503 halves it, once for all the requests that were on their way.
"""

import asyncio
from collections import deque

START = 8
LEAST = 1


class Pace:
    """`most`: never more at once than this. Use `async with pace:` around a sample; call `slow_down` on a refusal."""

    def __init__(self, most: int, start: int = START):
        self.most = most
        self.limit = float(min(start, most))
        self.running = 0
        self._doubling = True  # until the first refusal
        self._waiting: deque[asyncio.Future] = deque()
        self._refusals = 0

    async def __aenter__(self) -> int:
        """Waits for its turn. Returns the refusals so far: give it back to `slow_down`."""
        if self.running >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()  # our turn came as we were leaving
                raise
        else:
            self.running += 1
        return self._refusals

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.limit = min(self.most, self.limit + (1 if self._doubling else 1 / self.limit))
        self._pass_on()

    def slow_down(self, seen: int) -> None:
        """The server refused. `seen`: what entering returned; a refusal that came before ours has slowed us already."""
        if seen == self._refusals:
            self._refusals += 1
            self._doubling = False
            self.limit = max(LEAST, self.limit / 2)

    def _pass_on(self) -> None:
        self.running -= 1
        while self._waiting and self.running < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)
