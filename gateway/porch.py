"""The doors of one worker: which there are, what time it is for them, and that it is closing time."""

import asyncio
from email.utils import formatdate
from typing import Protocol

from gateway.door import Door
from gateway.reply import HttpReply
from gateway.request import Request


class House(Protocol):
    """What stands behind the doors."""

    def admit(self, request: Request) -> None:
        """Called with the head, before any body. Raises ApiError to refuse."""

    async def answer(self, request: Request, reply: HttpReply) -> None:
        """Must bring the reply to its end, or raise."""


class Porch:
    def __init__(self, house: House):
        self.house = house
        self.loop = asyncio.get_running_loop()
        self.doors: set[Door] = set()
        self.closing = False
        self.sweep()

    def door(self) -> Door:
        return Door(self)

    def sweep(self) -> None:
        """Once a second: the date for answers, and an end to whoever is too slow."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = self.loop.time()
        for door in [door for door in self.doors if door.deadline < now]:
            door.expire()

    def close(self) -> None:
        """No more requests: idle connections end now, the others after their answer."""
        self.closing = True
        for door in list(self.doors):
            door.close_when_idle()

    async def drained(self, patience_s: float) -> None:
        """Wait until every answer is out, then no longer."""
        deadline = self.loop.time() + patience_s
        while self.doors and self.loop.time() < deadline:
            await asyncio.sleep(0.02)
        tasks = [door.active for door in self.doors if door.active is not None]
        for door in list(self.doors):
            door.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
