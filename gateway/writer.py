"""The one writer of gateway.db in a worker: everything that is waiting is committed in one transaction.

Mostly the event loop does it itself, once in its turn for all that this turn brings: a few small writes into the page
cache, which cost less than waking another thread. Whatever might take longer (another process holds the lock, a row
is refused, the log is copied back into the file and synced) is left to a thread; meanwhile the next rows gather.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from gateway.log import say
from gateway.store import Connection, OperationalError, StoreError, begin, connect

PATIENCE_S = 5.0
LATE_S = 2.0
TIDY_S = 2.0
"""The log is copied back into the file so often while rows are written."""


@dataclass(slots=True)
class Write:
    statement: str
    values: Sequence[object]
    done: asyncio.Future | None


class Writer:
    """One batch at a time is with the thread; what comes meanwhile is the next one."""

    def __init__(self, path: Path):
        self._path = path
        self._gathered: list[Write] = []
        self._busy = False
        self._closing = False
        self._handed_at = 0.0
        self._refused = ""
        self._batches: queue.SimpleQueue[list[Write] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._quick = _impatient(path) if isinstance(path, Path) else None
        self._tidied_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="gateway-writer", daemon=True)
        self._thread.start()

    def commit(self, statement: str, values: Sequence[object]) -> asyncio.Future:
        """Resolves when the row is committed; its exception is StoreError when it can't be."""
        done = self._loop.create_future()
        self._add(Write(statement, values, done))
        return done

    def put(self, statement: str, values: Sequence[object]) -> None:
        """As `commit`, for who doesn't wait."""
        self._add(Write(statement, values, None))

    @property
    def problem(self) -> str:
        """Why rows can't be written at present; empty: they can. A worker reports each second, so it is never old."""
        late = time.monotonic() - self._handed_at if self._busy else 0.0
        return f"The ledger has taken no rows for {late:.0f} s." if late > LATE_S else self._refused

    async def close(self) -> None:
        """Write what is waiting, then end. On the loop: a connection that is closed while it writes is a crash."""
        self._busy = self._closing = True
        self._batches.put(self._gathered)
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._quick is not None:
            self._quick.close()

    def _add(self, write: Write) -> None:
        self._gathered.append(write)
        if not self._busy:
            self._busy = True
            self._handed_at = time.monotonic()
            self._loop.call_soon(self._hand_over)  # with what else this turn of the loop brings

    def _hand_over(self) -> None:
        if self._closing:
            return
        batch, self._gathered = self._gathered, []
        self._busy = bool(batch) and not self._write_at_once(batch)
        if self._busy:
            self._handed_at = time.monotonic()
            self._batches.put(batch)

    def _write_at_once(self, batch: list[Write]) -> bool:
        """False: it can't be done without waiting, or not for all."""
        if self._quick is None:  # a store behind a network
            return False
        try:
            _insert(self._quick, batch)
        except (StoreError, ValueError, OverflowError, TypeError):
            return False
        self._refused = ""
        for write in batch:
            if write.done is not None and not write.done.done():
                write.done.set_result(None)
        if time.monotonic() - self._tidied_at > TIDY_S:
            self._tidied_at = time.monotonic()
            self._batches.put([])
        return True

    def _run(self) -> None:
        connection = connect(self._path)
        while (batch := self._batches.get()) is not None:
            if not batch:
                _tidy(connection)
                continue
            errors = _write(connection, batch)
            try:
                self._loop.call_soon_threadsafe(self._written, batch, errors)
            except RuntimeError:  # the loop ended while we wrote: nobody waits any more
                say("writer.unheard", writes=len(batch))
        connection.close()

    def _written(self, batch: list[Write], errors: list[StoreError | None]) -> None:
        self._refused = f"The ledger takes no rows: {errors[0]}." if errors and all(errors) else ""
        self._hand_over()
        for write, error in zip(batch, errors, strict=True):
            done = write.done
            if done is None or done.done():  # nobody waits, or the caller went away
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _write(connection: Connection, writes: list[Write]) -> list[StoreError | None]:
    """All in one transaction; for each row what was wrong, None: it is committed.

    A row that the store refuses must not take those of other requests with it: then each goes alone.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            _insert(connection, writes)
            return [None] * len(writes)
        except OperationalError as error:  # locked, full, unreachable: that may pass
            if time.monotonic() > deadline:
                say("writer.failed", error=str(error), writes=len(writes))
                return [error] * len(writes)
            time.sleep(0.05)
        except (StoreError, ValueError, OverflowError, TypeError) as error:
            if len(writes) > 1:
                return [_write(connection, [write])[0] for write in writes]
            say("writer.refused", error=str(error)[:300])
            return [error if isinstance(error, StoreError) else StoreError(str(error))]


def _insert(connection: Connection, writes: list[Write]) -> None:
    with begin(connection):
        for statement, rows in groupby(writes, key=attrgetter("statement")):
            connection.executemany(statement, [row.values for row in rows])


def _impatient(path: Path) -> Connection:
    """A connection that never waits, neither for a lock nor for the disk."""
    connection = connect(path)
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _tidy(connection: Connection) -> None:
    with contextlib.suppress(StoreError):  # somebody reads: another time
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
