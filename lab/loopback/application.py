"""An aiohttp application on a listening socket, shut so that no connection is forgotten."""

import asyncio
import socket

from aiohttp import web

TURNS = 5
"""Of the loop, until a connection just accepted is attached to its server: it takes three."""


class Application:
    """`app` answers on `listener` from open() to shut(). One use: an aiohttp application runs once."""

    def __init__(self, app: web.Application, listener: socket.socket, **options: object):
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self._runner = web.AppRunner(app, **options)

    async def open(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self.listener).start()

    async def shut_the_door(self) -> None:
        """Accept no more and close the listener; answers on their way go on.

        asyncio up to 3.12 forgets, open, a connection that it has accepted but not yet attached when its server closes:
        so first accept no more, then let those be attached, then close.
        """
        asyncio.get_running_loop().remove_reader(self.listener)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for site in list(self._runner.sites):
            await site.stop()

    async def shut(self) -> None:
        """The door, then every connection; an answer on its way has the runner's `shutdown_timeout`, in seconds."""
        if self.listener.fileno() >= 0:
            await self.shut_the_door()
        await self._runner.cleanup()
