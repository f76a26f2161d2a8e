"""gateway.db: opened to write (and migrated), or to read."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from gateway.migrations import MIGRATIONS

BUSY_S = 5.0

Connection = sqlite3.Connection
StoreError = sqlite3.Error
OperationalError = sqlite3.OperationalError
"""What goes wrong with the store: no file, no table, locked for too long."""


def open_store(path: Path) -> Database:
    """gateway.db with its schema up to date. Several processes may do this at the same moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path)
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


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may write. NORMAL in WAL: what is committed survives kill -9, not a power cut of the host."""
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
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


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that can't write; sqlite3.OperationalError when there is no such file."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def begin(connection: Connection, settled: str = "") -> Iterator[None]:
    """One transaction that writes. `settled`: a table; every row with a smaller id than the newest is seen in it."""
    connection.execute("BEGIN IMMEDIATE")  # one writer at a time: in SQLite rows are always seen in the order of ids
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
