"""What open pages are told: each change once, to the people who may see it."""

import asyncio
from collections.abc import Iterable


class Feed:
    """Fan-out of changes to the pages that are open."""

    def __init__(self):
        self.pages: list[tuple[str, asyncio.Queue]] = []

    def open(self, user: str) -> asyncio.Queue:
        queue: asyncio.Queue = asyncio.Queue()
        self.pages.append((user, queue))
        return queue

    def close(self, queue: asyncio.Queue) -> None:
        self.pages = [(user, q) for user, q in self.pages if q is not queue]

    def tell(self, kind: str, audience: Iterable[str] | None = None, **what: object) -> None:
        """Send `{"kind": kind, **what}` to the pages of `audience` (user ids), or to all."""
        allowed = None if audience is None else set(audience)
        for user, queue in self.pages:
            if allowed is None or user in allowed:
                queue.put_nowait({"kind": kind, **what})
