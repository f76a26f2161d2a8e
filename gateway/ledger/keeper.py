"""Keeps the ledger small while the gateway runs: roll-up every few seconds, retention behind it, slice by slice."""

import asyncio
import contextlib
import threading
import time

from gateway.ledger.rollup import DAY_S, drop, fold_hours, roll
from gateway.log import say
from gateway.store import Connection, StoreError, Where, connect

EVERY_S = 5.0
PAUSE_S = 0.02
"""Between two slices: the requests' writer goes first."""


class Keeper:
    """One in each worker: whoever comes first does what is to do, the others find nothing."""

    def __init__(self, store: Where, keep_days: int, shipping: bool = False):
        """`shipping`: rows must be in a store that hosts share before they go from here."""
        self._store = store
        self._shipping = shipping
        self._keep_s = keep_days * DAY_S
        self._ended = threading.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await asyncio.to_thread(self.round)

    def round(self) -> None:
        """Everything that is to do now. Never raises: what was not done is done next time."""
        try:
            connection = connect(self._store)
            with contextlib.closing(connection):
                while not self._ended.is_set() and self._slice(connection):
                    self._ended.wait(PAUSE_S)
        except StoreError as error:
            say("ledger.unkept", reason=str(error)[:300])

    def _slice(self, connection: Connection) -> int:
        oldest = time.time() - self._keep_s
        return roll(connection) or drop(connection, oldest, shipping=self._shipping) or fold_hours(connection, oldest)

    async def close(self) -> None:
        self._ended.set()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
