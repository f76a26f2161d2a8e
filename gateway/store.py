"""The gateway's store, opened to write (and migrated), or to read: gateway.db, or a Postgres that several hosts share.

Whoever asks it writes one kind of SQL, which both understand; what differs stands in gateway/shared.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from sqlite_utils import Database

from gateway.migrations import MIGRATIONS
from lifecycle.settings import Shared

if TYPE_CHECKING:
    from gateway.shared.postgres import Connection as Postgres

BUSY_S = 5.0

Connection = Union[sqlite3.Connection, "Postgres"]
StoreError = sqlite3.Error
OperationalError = sqlite3.OperationalError
"""What may pass: locked for too long, unreachable; or there is no such file."""

Where = Path | Shared


@dataclass(frozen=True)
class Opened:
    """As sqlite_utils.Database, as far as the store's users need it."""

    conn: Connection

    def close(self) -> None:
        self.conn.close()


def open_store(where: Where) -> Database | Opened:
    """The store with its schema up to date. Several processes may do this at the same moment."""
    if isinstance(where, Shared):
        from gateway.shared.schema import bring_up_to_date

        connection = connect(where)
        bring_up_to_date(connection)
        return Opened(connection)
    where.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(where)
    db = Database(connection)
    if not list(MIGRATIONS.pending(db)):
        return db
    # the other worker migrates too: without the lock taken first, the later one finds the tables already there
    connection.execute("BEGIN IMMEDIATE")
    try:
        MIGRATIONS.apply(db)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return db


def connect(where: Where) -> Connection:
    """A connection that may write. NORMAL in WAL: what is committed survives kill -9, not a power cut of the host."""
    if isinstance(where, Shared):
        return _postgres(where, read_only=False)
    connection = sqlite3.connect(where, timeout=BUSY_S, check_same_thread=False)
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:  # switching to WAL doesn't wait for the busy timeout
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def read_only(where: Where) -> Connection:
    """A connection that can't write; OperationalError when there is no such file or nobody answers there."""
    if isinstance(where, Shared):
        return _postgres(where, read_only=True)
    address = f"{where.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def begin(connection: Connection, settled: str = "") -> Iterator[None]:
    """One transaction that writes. `settled`: a table; every row with a smaller id than the newest is seen in it.

    In SQLite that is always so: there is one writer at a time. Postgres gives ids to rows that others see only later,
    so there it waits for those who write to the table, and they for it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        if settled and not isinstance(connection, sqlite3.Connection):
            connection.execute(f"LOCK TABLE {settled} IN SHARE ROW EXCLUSIVE MODE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def _postgres(where: Shared, read_only: bool) -> "Postgres":
    from gateway.shared.postgres import Connection  # only where one is set: psycopg takes a tenth of a second

    return Connection(where.url, read_only)
