"""Live: looks at the ledger ten times a second and takes over its routing when the generation has moved.

The ledger's rows are the truth; what this worker holds is a cache, and `workers` in gateway.db says which generation.
"""

import asyncio
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from gateway import routing
from gateway.auth.ring import KeyRing
from gateway.demand import LOAD, SWEEP_LOAD, UNLOAD
from gateway.log import say
from gateway.providers import Providers
from gateway.quality import KEEP_ATTEMPTS_S, SWEEP_ATTEMPTS
from gateway.replicas import Fleet
from gateway.router import LiteLLM
from gateway.routing import Table
from gateway.seats import Seats
from gateway.store import read_only
from gateway.waking import Waking
from gateway.writer import Writer

EVERY_S = 0.1
HEARTBEAT_S = 1.0

REPORT = "INSERT OR REPLACE INTO workers (worker, pid, generation, seen_at, busy) VALUES (?, ?, ?, ?, ?)"
FORGET = "DELETE FROM workers WHERE worker = ?"
SWEEP = "DELETE FROM workers WHERE seen_at < ?"


class Live:
    """`problem` is empty once the ledger was read; `table` is the last one that could be."""

    def __init__(
        self,
        ledger: Path,
        fleet: Fleet,
        providers: Providers,
        keys: KeyRing,
        litellm: LiteLLM,
        writer: Writer,
        seats: Seats,
        waking: Waking,
        aliases: Mapping[str, str],
    ):
        self.table = Table()
        self.problem = "The ledger was not read yet."
        self._ledger = ledger
        self._fleet = fleet
        self._providers = providers
        self._keys = keys
        self._litellm = litellm
        self._writer = writer
        self._seats = seats
        self._waking = waking
        self._aliases = aliases
        self._loaded: set[str] = set()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._stale = True
        self._reported_at = 0.0
        self.worker = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def look(self) -> None:
        """One look at everything that may have changed. Never raises."""
        moved = self._look_at_ledger()
        try:
            self._keys.refresh()
        except sqlite3.Error as error:
            say("keys.unread", reason=str(error))
        changed = self._providers.look()
        if moved or changed:
            self._litellm.sync(self.table, self._providers)
        if moved:
            self._seats.look()
        if moved or time.monotonic() - self._reported_at > HEARTBEAT_S:
            self._report()

    def _look_at_ledger(self) -> bool:
        try:
            connection = self._open()
            if not self._stale and routing.generation_of(connection) == self.table.generation:
                return False
            table = routing.read(connection, self._aliases)
        except (OSError, sqlite3.Error, ValueError) as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            problem = f"The ledger can't be read: {error}."
            if problem != self.problem:
                say("ledger.unread", reason=problem)
            self.problem = problem
            return False
        self._fleet.update(table)
        self.table = table
        self.problem = ""
        self._stale = False
        say("routing", generation=table.generation, endpoints=sum(len(one.endpoints) for one in table.served))
        return True

    def _open(self) -> sqlite3.Connection:
        """The connection; a new one when another file lies there (restored from a copy)."""
        stat = self._ledger.stat()
        if self._connection is None or (stat.st_dev, stat.st_ino) != self._file:
            if self._connection is not None:
                self._connection.close()
            self._connection = read_only(self._ledger)
            self._file = (stat.st_dev, stat.st_ino)
            self._stale = True
        return self._connection

    def _report(self) -> None:
        self._reported_at = time.monotonic()
        if not self.problem:
            busy = sum(self._fleet.busy(one) for one in self.table.served)
            self._writer.put(REPORT, (self.worker, os.getpid(), self.table.generation, time.time(), busy))
            self._report_load()

    def _report_load(self) -> None:
        waiting = self._seats.waiting()
        now, loaded = time.time(), set()
        for one in self.table.served:
            inflight, line = self._fleet.busy(one), waiting.get(one.id, 0)
            if inflight or line:
                loaded.add(one.id)
            if inflight or line or one.id in self._loaded:  # what was busy is reported idle once
                self._writer.put(LOAD, (self.worker, one.id, inflight, line, now))
        self._loaded = loaded
        self._waking.flush()

    async def run(self) -> None:
        self._writer.put(SWEEP, (time.time() - 60,))
        self._writer.put(SWEEP_LOAD, (time.time() - 60,))
        self._writer.put(SWEEP_ATTEMPTS, (time.time() - KEEP_ATTEMPTS_S,))
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def close(self) -> None:
        self._waking.flush()
        self._writer.put(FORGET, (self.worker,))
        self._writer.put(UNLOAD, (self.worker,))
        if self._connection is not None:
            self._connection.close()
