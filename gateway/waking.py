"""Models without a server at the moment: those that sleep are woken, and callers told when to expect them.

A deployment that was scaled to zero has no server until somebody wants it. The gateway writes down that somebody does;
who runs the cluster reads it (`gateway.demand`).
"""

import math
import time
from collections.abc import Sequence

from gateway.demand import ASKED, WANTED
from gateway.errors import ApiError, no_endpoint
from gateway.routing import Served
from gateway.writer import Writer

AGAIN_S = 5.0
"""A wish for the same deployment is not written down more often."""


class Waking:
    """`hold_s`: how long a call may wait for a server; 0: it is told at once."""

    def __init__(self, writer: Writer, hold_s: float):
        self.hold_s = hold_s
        self.last_request_at: dict[str, float] = {}
        self._writer = writer
        self._written: dict[str, float] = {}

    def asked(self, candidates: Sequence[Served]) -> None:
        """A call came for these."""
        now = time.time()
        up = False
        for one in candidates:
            self.last_request_at[one.id] = now
            up = up or bool(one.endpoints)
        if not up:
            for one in candidates:
                if one.wake_s is not None and now - self._written.get(one.id, 0.0) > AGAIN_S:
                    self._written[one.id] = now
                    self._writer.put(WANTED, (one.id, now, now))

    def trouble(self, name: str, candidates: Sequence[Served]) -> ApiError:
        """What to tell who could not be given a server."""
        if any(one.endpoints for one in candidates):
            return no_endpoint(name)
        waits = [one.wake_s for one in candidates if one.wake_s is not None]
        if not waits:
            return no_endpoint(name, "its server is starting or moving")
        soon = max(1, math.ceil(min(waits)))
        sentence = f"{name} sleeps, because nobody asked for it; it is being woken. Try again in about {_words(soon)}."
        return ApiError(503, sentence, "server_error", "model_asleep", soon)

    def flush(self) -> None:
        """Write down when each was asked last, if it was since the last time."""
        asked, self.last_request_at = self.last_request_at, {}
        for id, at in asked.items():
            self._writer.put(ASKED, (id, at))


def _words(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
