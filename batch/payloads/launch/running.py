"""What the parts of the launcher share: the run of the job, and the engine that is up in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batch.payloads.launch.allocation import Allocation
from batch.payloads.launch.engines import ENGINES, Engine, Place
from batch.payloads.launch.order import Order, Rung
from batch.payloads.launch.ranks import Ranks
from batch.payloads.launch.report import Report

POLL_S = 0.1
ASK_EVERY_S = 0.5


class Stopped(Exception):
    """We were told to end, and have tidied up."""


@dataclass(frozen=True)
class Run:
    """`stopping()` turns true when SIGTERM came; `folder` is servers/<n>."""

    order: Order
    allocation: Allocation
    folder: Path
    report: Report
    stopping: Callable[[], bool]


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
