"""What every stand-in of an outside service is made of: its app on 127.0.0.1, a journal, faults, start and stop."""

from collections.abc import Callable
from typing import Self

from starlette.routing import Route
from starlette.types import ASGIApp

from lab.loopback.control import control_routes
from lab.loopback.faults import Fault, Faults
from lab.loopback.journal import Entry, Journal
from lab.loopback.pace import Pipe
from lab.loopback.server import Loopback
from lab.loopback.traffic import Traffic


def nothing(path: str) -> bool:
    return False


class StandIn:
    """`build` makes the app, with the routes all stand-ins have; `paced(path)` says whose bodies go through `pipe`.

    `url` is right before start(): the port is bound at once.
    """

    def __init__(
        self,
        build: Callable[[list[Route]], ASGIApp],
        port: int,
        *,
        pipe: Pipe | None = None,
        paced: Callable[[str], bool] = nothing,
    ) -> None:
        self.journal, self.faults = Journal(), Faults()
        app = build(control_routes(self.journal, self.faults))
        self._loopback = Loopback(Traffic(app, self.journal, self.faults, pipe or Pipe(), paced), port)
        self.port, self.url = self._loopback.port, self._loopback.url

    def start(self) -> Self:
        """Answer requests; returns itself."""
        self._loopback.start()
        return self

    def stop(self) -> None:
        """Drop every connection. Idempotent; start() resumes on the same port."""
        self._loopback.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def spoil(self, match: str = "", **how: object) -> None:
        """Add a fault; `how` are fields of lab.loopback.faults.Fault."""
        self.faults.add(Fault(match=match, **how))

    def requests(self, contains: str = "") -> list[Entry]:
        """What was asked since the start, or since `journal.clear()`."""
        return self.journal.entries(contains)
