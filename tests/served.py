"""A stand-in that answers from a thread of the test's process, and leaves no connection behind."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self

from aiohttp import web

from lab.loopback.application import Application
from lab.loopback.server import LOOPBACK, listen
from tests.quiet import hang_up


class Served:
    """Answers on loopback from start() to stop(); in between refuse() and open() close and open the same port.

    Whoever derives from it makes the `application()` to be served, anew for each open().
    """

    port: int = 0

    def application(self) -> web.Application:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()
        return self

    def open(self) -> None:
        self._run(self._open())

    def refuse(self) -> None:
        """Close the port: connections are refused."""
        self._run(self._served.shut())

    def stop(self) -> None:
        self.refuse()
        self._run(hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _open(self) -> None:
        self._released = asyncio.Event()
        self._served = Application(
            self.application(), listen(self.port), handler_cancellation=True, shutdown_timeout=0.1
        )
        self.port = self._served.port
        await self._served.open()

    def release(self) -> None:
        """Whoever waits for `_released` waits no longer."""
        self._loop.call_soon_threadsafe(self._released.set)
