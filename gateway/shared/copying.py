"""What goes between a host's own files and the store that it shares with other hosts. Each step may be killed and
repeated: what was copied is copied once.

Requests never wait for the shared store: a row is durable in this host's gateway.db before the answer ends, and goes on
from there; keys are read from here, as the shared store last had them.
"""

import hashlib
import json
import sqlite3
import time

from gateway.shared.postgres import Connection as Postgres
from gateway.store import begin
from gateway.usage import COLUMNS, Usage

ROWS = 500
KEYS = ("keys", "teams")
PRESENT_S = 60.0

_FRESH = f"SELECT id, {COLUMNS} FROM usage WHERE id > ? ORDER BY id LIMIT ?"
_SHIP = (
    f"INSERT INTO usage ({COLUMNS}) VALUES ({', '.join('?' * len(Usage._fields))}) ON CONFLICT (request_id) DO NOTHING"
)

PRESENCE = {
    "workers": ("worker",),
    "load": ("worker", "deployment_id"),
    "wakes": ("deployment_id",),
}
"""What the bot's host asks about all workers → the columns that tell rows apart."""
_NEWER = {"workers": "seen_at", "load": "at", "wakes": "last_request_at"}

ROUTING = ("deployments", "servers", "swaps", "routing")
_WHICH = {
    "deployments": "WHERE state <> 'RETIRED'",
    "servers": "WHERE state = 'UP'",
}


def ship_usage(local: sqlite3.Connection, shared: Postgres) -> int:
    """The oldest rows that are not there yet; how many. Marked here only when they are committed there."""
    done = local.execute("SELECT id FROM shipped").fetchone()[0]
    rows = local.execute(_FRESH, (done, ROWS)).fetchall()
    if rows:
        with begin(shared):
            shared.executemany(_SHIP, [tuple(row)[1:] for row in rows])
        with begin(local):
            local.execute("UPDATE shipped SET id = ? WHERE id < ?", (rows[-1][0], rows[-1][0]))
    return len(rows)


def pull_keys(local: sqlite3.Connection, shared: Postgres, known: int) -> int:
    """Keys and teams as the shared store has them, when its generation is another than `known`; the generation."""
    generation = shared.execute("SELECT generation FROM key_changes").fetchone()[0]
    if generation == known:
        return known
    shared.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    try:
        generation = shared.execute("SELECT generation FROM key_changes").fetchone()[0]
        found = {table: dump(shared, table) for table in KEYS}
    finally:
        shared.rollback()
    with begin(local):
        for table in KEYS:
            replace(local, table, found[table])
    return generation


def push_presence(local: sqlite3.Connection, shared: Postgres) -> None:
    """This host's workers and what they have at hand, for whoever asks about all; what is old goes."""
    found = {table: dump(local, table) for table in PRESENCE}
    with begin(shared):
        for table, key in PRESENCE.items():
            for row in found[table]:
                names = ", ".join(row)
                sets = ", ".join(f"{name} = excluded.{name}" for name in row if name not in key)
                newer = f"coalesce({table}.{_NEWER[table]}, 0) <= coalesce(excluded.{_NEWER[table]}, 0)"
                shared.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})"
                    f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sets} WHERE {newer}",
                    tuple(row.values()),
                )
        for table in ("workers", "load"):
            shared.execute(f"DELETE FROM {table} WHERE {_NEWER[table]} < ?", (time.time() - PRESENT_S,))


def publish_routing(ledger: sqlite3.Connection, shared: Postgres, known: str) -> str:
    """The part of the ledger that gateways route by, when its generation is another than `known`; the generation."""
    generation = str(ledger.execute("SELECT generation FROM routing").fetchone()[0])
    if generation == known:
        return known
    ledger.execute("BEGIN")
    try:
        generation = str(ledger.execute("SELECT generation FROM routing").fetchone()[0])
        rows = json.dumps({table: dump(ledger, table, _WHICH.get(table, "")) for table in ROUTING})
    finally:
        ledger.execute("ROLLBACK")
    shared.execute(
        "INSERT INTO routing_copy (one, digest, rows) VALUES (1, ?, ?)"
        " ON CONFLICT (one) DO UPDATE SET digest = excluded.digest, rows = excluded.rows",
        (hashlib.sha256(rows.encode()).hexdigest(), rows),
    )
    return generation


def take_routing(copy: sqlite3.Connection, shared: Postgres, known: str) -> str:
    """Into this host's copy of the ledger, which nothing else writes; the digest that it has now."""
    found = shared.execute("SELECT digest, rows FROM routing_copy WHERE digest <> ?", (known,)).fetchone()
    if found is None:
        return known
    digest, tables = found[0], json.loads(found[1])
    with begin(copy):
        for table in ROUTING:  # the generation comes last: triggers move it while the others are written
            replace(copy, table, tables[table])
    return digest


def dump(connection: sqlite3.Connection | Postgres, table: str, which: str = "") -> list[dict]:
    cursor = connection.execute(f"SELECT * FROM {table} {which}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def replace(connection: sqlite3.Connection, table: str, rows: list[dict]) -> None:
    """The table holds these rows and no others. Columns that only a newer version writes are left out."""
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.execute(f"DELETE FROM {table}")
    for row in rows:
        kept = {name: value for name, value in row.items() if name in known}
        marks = ", ".join("?" * len(kept))
        connection.execute(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", tuple(kept.values()))
