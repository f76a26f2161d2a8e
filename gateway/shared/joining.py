"""The first time that a host uses a shared store: what it has goes there, or it is refused; nothing is dropped."""

import sqlite3

from gateway.shared.copying import KEYS, dump
from gateway.shared.postgres import Connection as Postgres
from gateway.store import begin
from lifecycle.errors import BadSettings

COPIED = (*KEYS, "audit", "usage_hours", "usage_ever")
NUMBERED = ("keys", "audit")


def join(local: sqlite3.Connection, shared: Postgres) -> None:
    """Make the two one: an empty shared store is filled from here. BadSettings when both have keys of their own.

    Killed anywhere, it begins again: the shared store is filled in one transaction, and is then no longer empty.
    """
    if local.execute("SELECT joined FROM shipped").fetchone()[0]:
        return
    mine = {row["prefix"] for row in dump(local, "keys")}
    with begin(shared):
        shared.execute("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE")
        theirs = {row["prefix"] for row in dump(shared, "keys")}
        if mine - theirs and theirs:
            raise BadSettings(
                "The shared database has keys, and this host's gateway.db has others that would be lost.",
                "Use another database, or move state/gateway.db away and issue those keys anew.",
            )
        if mine and not theirs:
            _fill(local, shared)
    with begin(local):
        local.execute("UPDATE shipped SET joined = 1")


def _fill(local: sqlite3.Connection, shared: Postgres) -> None:
    """Sums go as sums, and rows that are in none go one by one later: from the mark that is set here."""
    with begin(local):
        local.execute("UPDATE shipped SET id = (SELECT id FROM rolled)")
        found = {table: dump(local, table) for table in COPIED}
    for table, rows in found.items():
        for row in rows:
            marks = ", ".join("?" * len(row))
            statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
            shared.execute(statement, tuple(row.values()))
    for table in NUMBERED:
        shared.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL)"
            f" FROM {table}"
        )
