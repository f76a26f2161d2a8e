"""The one writer of gateway.db in a worker: a thread that commits everything that is waiting in one transaction.

While one transaction is being written the next ones gather, so a busy gateway pays one commit for many requests, and an
idle one waits for nobody.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.log import say
from gateway.store import connect

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Write:
    statement: str
    values: Sequence[object]
    done: asyncio.Future | None


class Writer:
    def __init__(self, path: Path):
        self._path = path
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="gateway-writer", daemon=True)
        self._thread.start()

    def commit(self, statement: str, values: Sequence[object]) -> asyncio.Future:
        """Resolves when the row is committed; its exception is sqlite3.Error when it can't be."""
        done = self._loop.create_future()
        self._queue.put(Write(statement, values, done))
        return done

    def put(self, statement: str, values: Sequence[object]) -> None:
        """As `commit`, for who doesn't wait."""
        self._queue.put(Write(statement, values, None))

    def close(self) -> None:
        """Write what is waiting, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection = connect(self._path)
        open_ = True
        while open_:
            batch = [self._queue.get()]
            while True:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            open_ = None not in batch
            writes = [write for write in batch if write is not None]
            if writes:
                error = _write(connection, writes)
                self._report([write.done for write in writes if write.done is not None], error)
        connection.close()

    def _report(self, waiting: list[asyncio.Future], error: Exception | None) -> None:
        if waiting:
            try:
                self._loop.call_soon_threadsafe(_resolve, waiting, error)
            except RuntimeError:  # the loop ended while we wrote: nobody waits any more
                say("writer.unheard", writes=len(waiting))


def _write(connection: sqlite3.Connection, writes: list[Write]) -> Exception | None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in writes:
                connection.execute(write.statement, write.values)
            connection.execute("COMMIT")
            return None
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.rollback()
            if time.monotonic() > deadline:
                say("writer.failed", error=str(error), writes=len(writes))
                return error
            time.sleep(0.05)


def _resolve(waiting: list[asyncio.Future], error: Exception | None) -> None:
    for done in waiting:
        if done.done():  # cancelled: the caller went away
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
