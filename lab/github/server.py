"""The lab's GitHub in a thread of this process. `python -m lab.github` is the same as a process of its own."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.github.app import TOKENS, GitHubApp
from lab.github.control import control_actions, secondary_limit
from lab.github.rates import ANONYMOUS_LIMIT, USER_LIMIT, Rates
from lab.github.records import Dispatch, Release
from lab.github.shelf import Shelf
from lab.loopback.stand_in import StandIn


class GitHub(StandIn):
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
        app = GitHubApp(self.shelf, self.rates, TOKENS if tokens is None else tokens)
        super().__init__(
            lambda common: app.starlette([*common, *control_actions(self.shelf, self.faults)]),
            port,
        )

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
