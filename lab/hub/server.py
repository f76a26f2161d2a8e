"""The lab's Hub in a thread of this process. `python -m lab.hub` is the same as a process of its own."""

from collections.abc import Mapping
from pathlib import Path

from lab.hub import app, control
from lab.hub.access import TOKENS, User
from lab.hub.limits import Limited, Limits
from lab.hub.store import Files, Repo, Store
from lab.loopback.pace import Pipe
from lab.loopback.stand_in import StandIn


class Hub(StandIn):
    """A Hub on 127.0.0.1 over the repositories in `root`. HF_ENDPOINT is `url`.

    tokens         token → User; see lab.hub.access.TOKENS for the ones known by default
    bytes_per_s    width of the pipe all downloads share; 0 is unlimited
    quota, window  requests each caller has in so many seconds; 0 is no limit
    cdn            large files are redirected to http://localhost, as the real Hub redirects to its CDN
    """

    def __init__(
        self,
        root: Path | str,
        port: int = 0,
        tokens: Mapping[str, User] | None = None,
        *,
        bytes_per_s: float = 0.0,
        quota: int = 0,
        window: float = 300.0,
        cdn: bool = False,
    ) -> None:
        self.store = Store(Path(root))
        self.pipe = Pipe(bytes_per_s)
        self.limits = Limits(quota, window)
        hub = app.Hub(self.store, TOKENS if tokens is None else tokens, cdn)
        ours = control.control_actions(self.store, self.limits, self.pipe)
        super().__init__(
            lambda common: Limited(app.build_app(hub, [*common, ours]), self.limits),
            port,
            pipe=self.pipe,
            paced=is_download,
        )

    def publish(self, files: Files | str, repo_id: str, **meta: object) -> Repo:
        """A new repository, or all new files for one, in one step; `meta` are fields of lab.hub.meta.Meta."""
        return self.store.publish(Path(files) if isinstance(files, str) else files, repo_id, meta)

    def push(self, repo_id: str, files: Files, **meta: object) -> Repo:
        """A commit on top: paths added, changed, or removed (None)."""
        return self.store.push(repo_id, files, meta)

    def change(self, repo_id: str, **meta: object) -> Repo:
        """Change what .hub.json says."""
        return self.store.change(repo_id, **meta)

    def make_public(self, repo_id: str) -> Repo:
        """Private no more; the creation date stays what it was, as on the Hub."""
        return self.store.change(repo_id, private=False)

    def grant(self, repo_id: str, user: str) -> Repo:
        """Let a user through the gate."""
        return self.store.grant(repo_id, user)

    def delete(self, repo_id: str) -> None:
        self.store.delete(repo_id)

    def rename(self, repo_id: str, new_id: str) -> Repo:
        """The old name redirects."""
        return self.store.rename(repo_id, new_id)

    def limit(self, quota: int, window: float = 300.0) -> None:
        """From now on `quota` requests each `window` seconds for each caller; 0 lifts it."""
        self.limits.set(quota, window)

    def throttle(self, bytes_per_s: float) -> None:
        """Change the width of the pipe; 0 is unlimited."""
        self.pipe.rate = bytes_per_s


def is_download(path: str) -> bool:
    """Whether this path's body is a file."""
    return "/resolve/" in path or path.startswith("/_cdn/")
