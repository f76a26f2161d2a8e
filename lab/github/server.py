"""The lab's GitHub in a thread of this process. `python -m lab.github` is the same as a process of its own."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from lab.github.app import TOKENS, GitHubApp
from lab.github.control import control_actions, secondary_limit
from lab.github.rates import ANONYMOUS_LIMIT, USER_LIMIT, Rates
from lab.github.records import Dispatch, Release
from lab.github.shelf import Shelf
from lab.loopback.control import control_routes
from lab.loopback.faults import Fault, Faults
from lab.loopback.journal import Entry, Journal
from lab.loopback.pace import Pipe
from lab.loopback.server import Loopback
from lab.loopback.traffic import Traffic


class GitHub:
    """GitHub's releases on 127.0.0.1; `url` is what a client takes for https://api.github.com.

    tokens                       token → login; lab.github.app.TOKENS by default
    user_limit, anonymous_limit  requests an hour
    state                        a JSON file that outlives the process
    clock                        seconds since 1970, for dates and for the hour
    """

    def __init__(
        self,
        port: int = 0,
        tokens: Mapping[str, str] | None = None,
        *,
        user_limit: int = USER_LIMIT,
        anonymous_limit: int = ANONYMOUS_LIMIT,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.shelf, self.rates = Shelf(state, clock), Rates(user_limit, anonymous_limit, clock)
        self.journal, self.faults = Journal(), Faults()
        app = GitHubApp(self.shelf, self.rates, TOKENS if tokens is None else tokens)
        ours = [*control_routes(self.journal, self.faults), *control_actions(self.shelf, self.faults)]
        traffic = Traffic(app.starlette(ours), self.journal, self.faults, Pipe(), lambda path: False)
        self._loopback = Loopback(traffic, port)
        self.port, self.url = self._loopback.port, self._loopback.url

    def start(self) -> Self:
        """Answer requests; returns itself."""
        self._loopback.start()
        return self

    def stop(self) -> None:
        """Drop every connection. Idempotent."""
        self._loopback.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def publish_release(
        self, repo: str, tag: str, body: str = "", prerelease: bool = False, draft: bool = False, **more: str
    ) -> Release:
        """A new release; `more` may be name and published_at. The repository is made if need be."""
        return self.shelf.publish(repo, tag, body, prerelease, draft, **more)

    def edit_release(self, repo: str, tag: str, **changes: object) -> Release:
        """Change it; draft=False publishes a draft."""
        return self.shelf.edit(repo, tag, **changes)

    def delete_release(self, repo: str, tag: str) -> None:
        self.shelf.delete(repo, tag)

    def add_repo(self, repo: str) -> None:
        """A repository without releases."""
        self.shelf.add_repo(repo)

    def put_file(self, repo: str, ref: str, path: str, text: str) -> None:
        """What stands in a file at a tag."""
        self.shelf.put_file(repo, ref, path, text)

    @property
    def dispatches(self) -> list[Dispatch]:
        """The repository_dispatch events that were sent, oldest first."""
        return list(self.shelf.dispatches)

    def limit_secondary(self, times: int = 1, retry_after: int | None = 1, status: int = 403) -> None:
        """The next `times` requests hit the secondary limit."""
        self.faults.add(secondary_limit(times, retry_after, status))

    def spoil(self, match: str = "", **how: object) -> None:
        """Add a fault; `how` are fields of lab.loopback.faults.Fault."""
        self.faults.add(Fault(match=match, **how))

    def requests(self, contains: str = "") -> list[Entry]:
        """What was asked."""
        return self.journal.entries(contains)
