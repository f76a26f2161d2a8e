"""How far a reader of the events has come: small named numbers that survive a restart."""

import sqlite3

from lifecycle.ledger import Ledger


def get(db: sqlite3.Connection, name: str) -> int:
    """0 before the first `put`."""
    row = db.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
    return row[0] if row else 0


def is_new(db: sqlite3.Connection, name: str) -> bool:
    """It has never read."""
    return db.execute("SELECT 1 FROM cursors WHERE name = ?", (name,)).fetchone() is None


def begin(ledger: Ledger, name: str) -> bool:
    """Put a reader that has never read behind the latest event: whoever is switched on late is not told the past.

    True: it was new.
    """
    with ledger.write() as db:
        latest = "SELECT ?, coalesce(max(id), 0) FROM events"
        return db.execute(f"INSERT OR IGNORE INTO cursors {latest}", (name,)).rowcount == 1


def forget(ledger: Ledger, name: str) -> None:
    """It is switched off: when it comes back it begins behind what was latest then."""
    with ledger.write() as db:
        db.execute("DELETE FROM cursors WHERE name = ?", (name,))


def put(ledger: Ledger, name: str, value: int) -> None:
    with ledger.write() as db:
        db.execute(
            "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )
