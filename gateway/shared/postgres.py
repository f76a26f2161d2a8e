"""A Postgres connection that takes the store's statements as SQLite takes them.

The statements keep to what both understand; here stand the differences that are left: how a parameter is marked, that
CAST rounds where SQLite truncates, that a sum of whole numbers is a Decimal, and that true is no number.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.numeric import IntDumper

CONNECT_S = 5
STATEMENT_MS = 30_000
GONE = (psycopg.OperationalError, psycopg.InterfaceError)


class Row(tuple):
    """By number and by name, as sqlite3.Row is."""

    _names: dict[str, int]

    def __getitem__(self, which: Any) -> Any:
        return super().__getitem__(self._names[which] if isinstance(which, str) else which)

    def keys(self) -> list[str]:
        return list(self._names)


def rows(cursor: psycopg.Cursor) -> Any:
    names = {column.name: n for n, column in enumerate(cursor.description or ())}
    return type("Row", (Row,), {"_names": names})


class Number(Loader):
    """numeric: what sums and averages give."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text or "N" in text else int(text)


class Truth(Dumper):
    """True is 1: the columns are whole numbers."""

    oid = IntDumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class Connection:
    """What the store needs of sqlite3.Connection; every statement outside of a transaction commits by itself.

    Errors are sqlite3's: OperationalError for what may pass (unreachable, cut off), IntegrityError, else DatabaseError.
    """

    def __init__(self, url: str, read_only: bool = False):
        options = f"-c statement_timeout={STATEMENT_MS} -c timezone=UTC"
        if read_only:  # a reader's transaction sees one moment, as in SQLite
            options += " -c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
        with errors():
            self._connection = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_S, row_factory=rows, options=options,
                keepalives_idle=15, keepalives_interval=5, keepalives_count=3, application_name="dayzero",
            )  # fmt: skip
        self._connection.adapters.register_loader("numeric", Number)
        self._connection.adapters.register_dumper(bool, Truth)

    def execute(self, statement: str, values: Sequence = ()) -> psycopg.Cursor:
        with errors():
            return self._connection.execute(translated(statement), tuple(values))

    def executemany(self, statement: str, many: Iterable[Sequence]) -> psycopg.Cursor:
        with errors():
            cursor = self._connection.cursor()
            cursor.executemany(translated(statement), [tuple(values) for values in many])
            return cursor

    @property
    def in_transaction(self) -> bool:
        return self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    @property
    def broken(self) -> bool:
        return self._connection.closed

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if not self.broken and self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


class errors:
    """A context: psycopg's errors leave as sqlite3's, which is what everybody above catches."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, psycopg.Error):
            return
        said = str(error).strip().splitlines()
        text = f"Postgres: {said[0] if said else type(error).__name__}"
        if isinstance(error, psycopg.IntegrityError):
            raise sqlite3.IntegrityError(text) from None
        if isinstance(error, GONE):
            raise sqlite3.OperationalError(text) from None
        raise sqlite3.DatabaseError(text) from None


_CAST = re.compile(r"CAST\(([^()]+) AS INTEGER\)")


@lru_cache(maxsize=512)
def translated(statement: str) -> str:
    """SQLite's words in Postgres'. No statement of the store holds a question mark or a percent sign of its own."""
    text = _CAST.sub(r"CAST(trunc((\1)::double precision) AS BIGINT)", statement.replace("%", "%%").replace("?", "%s"))
    return "BEGIN" if text.strip() == "BEGIN IMMEDIATE" else text
