"""Is a running engine well? Pure: looks go in, a verdict comes out.

An engine that hangs still says 200 on /health. What counts is that tokens move while requests run.
"""

from dataclasses import dataclass, replace

from batch.payloads.launch.order import Limits
from batch.payloads.launch.probe import Sample


@dataclass(frozen=True)
class Health:
    """`since`: when a token last moved or nothing ran (time.monotonic); `misses`: looks in a row without an answer."""

    since: float
    moved: float = 0
    misses: int = 0
    sick: str = ""  # why, one sentence; '' when it is well

    def answered(self, seen: Sample, now: float, limits: Limits) -> "Health":
        """After a look that found counters."""
        if seen.running == 0 or seen.moved != self.moved:
            return Health(now, seen.moved)
        waited = now - self.since
        frozen = waited >= limits.frozen_s
        sick = f"{_requests(seen.running)} and no token has moved for {waited:.0f} s." if frozen else ""
        return Health(self.since, self.moved, 0, sick)

    def missed(self, why: str, limits: Limits) -> "Health":
        """After a look without an answer."""
        misses = self.misses + 1
        sick = f"It gave no answer {misses} times in a row ({why})." if misses >= limits.misses else self.sick
        return replace(self, misses=misses, sick=sick)


def _requests(count: int) -> str:
    return "A request runs" if count == 1 else f"{count} requests run"
