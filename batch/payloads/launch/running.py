"""What the parts of the launcher share: the run of the job, and the engine that is up in it."""

import time
from dataclasses import dataclass
from pathlib import Path

from batch.payloads.engine_rank import WARNED
from batch.payloads.launch.allocation import Allocation
from batch.payloads.launch.engines import ENGINES, Engine, Place
from batch.payloads.launch.order import Order, Rung
from batch.payloads.launch.ranks import Ranks
from batch.payloads.launch.report import Report

POLL_S = 0.1
ASK_EVERY_S = 0.5
DOUBT_S = 1.0


class Stopped(Exception):
    """We were told to end, and have tidied up."""


class Signals:
    """What we were told. SIGTERM is to end. SIGUSR1 comes from a rank that got Slurm's SIGTERM: the job is being
    preempted, or another rank died and srun ends the rest; which of the two shows within a moment."""

    def __init__(self) -> None:
        self._asked, self._warned_at = False, 0.0

    def ask(self, *_: object) -> None:
        self._asked = True

    def warn(self, *_: object) -> None:
        self._warned_at = self._warned_at or time.monotonic()

    def calm(self) -> None:
        """It was a rank's death."""
        self._warned_at = 0.0

    @property
    def stopping(self) -> bool:
        return self._asked or (self._warned_at > 0 and time.monotonic() - self._warned_at > DOUBT_S)


@dataclass(frozen=True)
class Run:
    """`folder` is servers/<n>."""

    order: Order
    allocation: Allocation
    folder: Path
    report: Report
    signals: Signals


@dataclass(frozen=True)
class Up:
    """An engine that has answered once; `since` is time.monotonic's."""

    rung: Rung
    ranks: Ranks
    place: Place
    since: float
    endpoint: dict

    @property
    def engine(self) -> Engine:
        return ENGINES[self.rung.engine]


def end(run: Run, ranks: Ranks, code: int) -> None:
    """After a rank ended: end the others. Raises Stopped when that was no death, but somebody ending the job."""
    ranks.stop()
    if code != WARNED:  # the death explains the warning, which may be old by now: stopping a deaf engine takes long
        run.signals.calm()
    if code == WARNED or run.signals.stopping:
        raise Stopped
