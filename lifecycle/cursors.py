"""How far a reader of the events has come: small named numbers that survive a restart."""

import sqlite3

from lifecycle.ledger import Ledger


def get(db: sqlite3.Connection, name: str) -> int:
    """0 before the first `put`."""
    row = db.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
    return row[0] if row else 0


def put(ledger: Ledger, name: str, value: int) -> None:
    with ledger.write() as db:
        db.execute(
            "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )
