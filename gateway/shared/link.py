"""The thread that keeps a host's files and the shared store alike. Each worker has one; one of them holds the lock and
copies, the others wait for its end.

While the shared store is away the gateway answers on: keys as they were, rows kept here until they can go.
"""

import contextlib
import fcntl
import sqlite3
import threading
import time
from pathlib import Path

from sqlite_utils import Database

from gateway.auth.board import BOARD
from gateway.log import say
from gateway.shared.copying import publish_routing, pull_keys, push_presence, ship_usage, take_routing
from gateway.shared.joining import join
from gateway.shared.leasing import Leaser
from gateway.shared.postgres import Connection as Postgres
from gateway.store import StoreError, connect, open_store, read_only
from lifecycle.migrations import MIGRATIONS
from lifecycle.settings import Settings, Shared

EVERY_S = 0.1
PRESENCE_S = 0.5
AGAIN_S = 1.0
START_S = 2.0
"""So long a start waits for the keys; then it goes on with those of the last time."""

MEET_S = 5.0
"""So long somebody whom nobody knew waits for his row to come here."""


class Link:
    def __init__(self, settings: Settings, shared: Shared):
        self._settings = settings
        self._shared = shared
        self._local = settings.gateway_path
        self._ended = threading.Event()
        self._told = 0.0
        self.blind = "The shared database was never reached from here, so no key is known."
        self.problem = "The shared database was not read yet."
        self._thread = threading.Thread(target=self._run, name="gateway-link", daemon=True)

    def start(self) -> None:
        """Join, then copy until `close`. BadSettings when this host can't join; a database that is away is waited for.

        The first copies are made before this returns, so that a new host knows its keys when it begins to listen.
        """
        with contextlib.suppress(StoreError):
            self._join()
        if self._settings.gateway.follows:
            _own_copy(self._settings.routing_path)
        self._thread.start()
        deadline = time.monotonic() + START_S
        while self.problem and time.monotonic() < deadline:
            time.sleep(0.01)

    def wait_for(self, prefix: str) -> None:
        """Until the key with that prefix has come here, or a few seconds. Blocks: not for an event loop."""
        deadline = time.monotonic() + MEET_S
        with contextlib.closing(read_only(self._local)) as local:
            while time.monotonic() < deadline:
                if local.execute("SELECT 1 FROM keys WHERE prefix = ?", (prefix,)).fetchone():
                    return
                time.sleep(0.02)

    def close(self) -> None:
        """What can still go, goes."""
        self._ended.set()
        self._thread.join(AGAIN_S + 10)

    def _join(self) -> None:
        self._look()
        opened = open_store(self._shared)
        with contextlib.closing(opened), contextlib.closing(connect(self._local)) as local:
            join(local, opened.conn)
        self.blind = ""

    def _look(self) -> None:
        """Has this host ever reached it, by this worker or another?"""
        if self.blind:
            with contextlib.closing(connect(self._local)) as local:
                if local.execute("SELECT joined FROM shipped").fetchone()[0]:
                    self.blind = ""

    def _run(self) -> None:
        with open(self._local.with_name("shared.lock"), "w") as lock, contextlib.ExitStack() as leading:
            leases = False
            while not self._ended.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # another worker of this host copies
                    self.problem = ""
                    with contextlib.suppress(StoreError):
                        self._look()
                    self._ended.wait(EVERY_S)
                    continue
                try:
                    self._join()
                    if not leases:
                        leading.enter_context(Leaser(self._local.with_name(BOARD), self._shared))
                        leases = True
                    self._copy()
                except (StoreError, OSError, ValueError) as error:
                    self._say(f"The shared database can't be used: {str(error)[:300]}.")
                    self._ended.wait(AGAIN_S)

    def _copy(self) -> None:
        """Until the end or the first error."""
        with contextlib.ExitStack() as stack:
            shared = stack.enter_context(contextlib.closing(Postgres(self._shared.url)))
            local = stack.enter_context(contextlib.closing(connect(self._local)))
            ledger = None
            copy_routing = take_routing if self._settings.gateway.follows else publish_routing
            generation, routing, said_at = -1, "", 0.0
            while True:
                last = self._ended.is_set()
                generation = pull_keys(local, shared, generation)
                if ledger is None and self._settings.routing_path.exists():
                    ledger = stack.enter_context(contextlib.closing(self._ledger()))
                if ledger is not None:
                    routing = copy_routing(ledger, shared, routing)
                while ship_usage(local, shared):
                    pass
                if last or time.monotonic() - said_at > PRESENCE_S:
                    said_at = time.monotonic()
                    push_presence(local, shared)
                if self.problem:
                    say("shared.reached")
                    self.problem = ""
                if last:
                    return
                self._ended.wait(EVERY_S)

    def _ledger(self) -> sqlite3.Connection:
        """What routing is read from, or written to."""
        return (connect if self._settings.gateway.follows else read_only)(self._settings.routing_path)

    def _say(self, problem: str) -> None:
        if problem != self.problem or time.monotonic() - self._told > 60:
            say("shared.away", reason=problem)
            self._told = time.monotonic()
        self.problem = problem


def _own_copy(path: Path) -> None:
    """An empty ledger for the routing to be copied into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(connect(path)) as connection:
        MIGRATIONS.apply(Database(connection))
        connection.commit()
