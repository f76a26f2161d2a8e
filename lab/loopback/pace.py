"""A pipe of a given width that every body shares, so that progress can be watched."""

import asyncio
import time


class Pipe:
    """`rate` bytes a second in all; 0 is unlimited. Lives in one event loop; `rate` may change at any time."""

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate
        self._free_at = 0.0

    def slices(self, body: bytes) -> list[bytes]:
        """The body in pieces of a twentieth of a second, so that a slow pipe drips instead of gulping."""
        if not self.rate or not body:
            return [body]
        step = max(1024, int(self.rate / 20))
        return [body[start : start + step] for start in range(0, len(body), step)]

    async def take(self, size: int) -> None:
        """Wait until `size` more bytes fit."""
        if not self.rate or not size:
            return
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size / self.rate
        await asyncio.sleep(self._free_at - now)
