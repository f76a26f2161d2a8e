"""Webhooks on their way: one row for each event and receiver, until it was taken or is a dead letter."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from lifecycle import cursors, queries
from lifecycle.ledger import Ledger
from lifecycle.records import Event

CURSOR = "hooked"
DUE, DEAD = "DUE", "DEAD"


@dataclass(frozen=True)
class Delivery:
    """`hook`: the receiver's name in the settings. `error`: why the last attempt failed."""

    hook: str
    event_id: int
    state: str
    attempts: int
    due_at: float
    error: str


def enqueue(ledger: Ledger, wanting: Callable[[Event], list[str]]) -> int:
    """Write down what the events since the last time ask for, and how far we came, in one transaction; their number.

    The past is not told: whoever sets up a webhook wants what comes (see cursors.begin).
    """
    made = 0
    with ledger.write() as db:
        for event in queries.events_after(db, cursors.get(db, CURSOR)):
            for hook in wanting(event):
                row = (hook, event.id, DUE, ledger.clock())
                statement = "INSERT OR IGNORE INTO deliveries (hook, event_id, state, due_at) VALUES (?, ?, ?, ?)"
                made += db.execute(statement, row).rowcount
            cursors.put(ledger, CURSOR, event.id)
    return made


def due(db: sqlite3.Connection, now: float, limit: int = 200) -> list[Delivery]:
    """Oldest event first. Nothing overtakes an elder of the same receiver that waits for its next attempt."""
    query = (
        "SELECT * FROM deliveries d WHERE state = 'DUE' AND due_at <= :now AND NOT EXISTS (SELECT 1 FROM deliveries e"
        " WHERE e.hook = d.hook AND e.state = 'DUE' AND e.event_id < d.event_id AND e.due_at > :now)"
        " ORDER BY event_id, hook LIMIT :limit"
    )
    return [Delivery(**dict(row)) for row in db.execute(query, {"now": now, "limit": limit})]


def all_of(db: sqlite3.Connection) -> list[Delivery]:
    """What is on its way and what is dead; what was taken is not kept."""
    return [Delivery(**dict(row)) for row in db.execute("SELECT * FROM deliveries ORDER BY event_id, hook")]


def taken(ledger: Ledger, delivery: Delivery) -> None:
    with ledger.write() as db:
        db.execute("DELETE FROM deliveries WHERE hook = ? AND event_id = ?", (delivery.hook, delivery.event_id))


def refused(ledger: Ledger, delivery: Delivery, error: str, again_at: float | None) -> None:
    """`again_at` None: a dead letter from now on; that is an event of its own."""
    with ledger.write() as db:
        db.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, due_at = ?, error = ?"
            " WHERE hook = ? AND event_id = ?",
            (DUE if again_at is not None else DEAD, again_at or 0, error, delivery.hook, delivery.event_id),
        )
        if again_at is None:
            detail = {"hook": delivery.hook, "event": delivery.event_id, "sentence": error}
            ledger.note("note.webhook_dead", detail=detail)


def revive(ledger: Ledger, hook: str | None = None) -> int:
    """Send the dead letters (of one receiver) once more, from the first attempt on; their number."""
    with ledger.write() as db:
        where, names = (" AND hook = ?", (hook,)) if hook else ("", ())
        statement = f"UPDATE deliveries SET state = 'DUE', attempts = 0, due_at = 0 WHERE state = 'DEAD'{where}"
        return db.execute(statement, names).rowcount
