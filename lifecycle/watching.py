"""What the watchers remember: when to look at a source again, and what was there the last time."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from lifecycle.ledger import Ledger


def due(ledger: Ledger, sources: list[str], now: float) -> list[str]:
    """Those of `sources` whose time has come, or that were never looked at."""
    rows = ledger.connection.execute("SELECT source, due_at FROM watches")
    later = {row["source"] for row in rows if row["due_at"] > now}
    return [source for source in sources if source not in later]


def cursor(ledger: Ledger, source: str) -> dict[str, Any] | None:
    """What the last good look left; None before the first one."""
    row = ledger.connection.execute("SELECT cursor FROM watches WHERE source = ?", (source,)).fetchone()
    return json.loads(row["cursor"]) if row and row["cursor"] else None


def looked(ledger: Ledger, source: str, cursor: Mapping[str, Any], due_at: float) -> None:
    """Keep the result of a good look; one event when people were told that it fails."""
    with ledger.write() as db:
        recovered(ledger, source)
        db.execute(
            "INSERT INTO watches (source, cursor, polled_at, due_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, polled_at = excluded.polled_at,"
            " due_at = excluded.due_at",
            (source, json.dumps(cursor), ledger.clock(), due_at),
        )


def looks(ledger: Ledger) -> dict[str, float]:
    """source → when the last good look was, of those that had one."""
    rows = ledger.connection.execute("SELECT source, polled_at FROM watches WHERE polled_at IS NOT NULL")
    return {row["source"]: row["polled_at"] for row in rows}


def last_look(ledger: Ledger, source: str) -> float | None:
    """When the last good look was; None: there was none."""
    row = ledger.connection.execute("SELECT polled_at FROM watches WHERE source = ?", (source,)).fetchone()
    return row["polled_at"] if row else None


def put_off(ledger: Ledger, source: str, due_at: float) -> None:
    """A look failed, or must wait: not before `due_at`; nobody is told."""
    with ledger.write() as db:
        db.execute(
            "INSERT INTO watches (source, due_at) VALUES (?, ?) ON CONFLICT (source)"
            " DO UPDATE SET due_at = excluded.due_at",
            (source, due_at),
        )


def complain(ledger: Ledger, source: str, sentence: str) -> None:
    """People shall know that `source` fails: one event for each new sentence, not for each failure."""
    with ledger.write() as db:
        row = db.execute("SELECT error FROM watches WHERE source = ?", (source,)).fetchone()
        if row is not None and row["error"] == sentence:
            return
        db.execute(
            "INSERT INTO watches (source, error) VALUES (?, ?)"
            " ON CONFLICT (source) DO UPDATE SET error = excluded.error",
            (source, sentence),
        )
        ledger.note("note.watch_failed", detail={"source": source, "sentence": sentence})


def recovered(ledger: Ledger, source: str) -> None:
    """It answers again; one event when people were told that it did not."""
    with ledger.write() as db:
        told = "UPDATE watches SET error = '' WHERE source = ? AND error <> ''"
        if db.execute(told, (source,)).rowcount:
            ledger.note("note.watch_back", detail={"source": source})


def known(ledger: Ledger, source: str) -> dict[str, str]:
    """repository → revision, as of the last good look."""
    query = "SELECT repo, revision FROM known WHERE source = ? AND gone_at IS NULL"
    return {row["repo"]: row["revision"] for row in ledger.connection.execute(query, (source,))}


def departed(ledger: Ledger, source: str) -> dict[str, str]:
    """repository → revision of what was there once and is no more."""
    query = "SELECT repo, revision FROM known WHERE source = ? AND gone_at IS NOT NULL"
    return {row["repo"]: row["revision"] for row in ledger.connection.execute(query, (source,))}


def remember(ledger: Ledger, source: str, changed: Mapping[str, str], gone: Collection[str]) -> None:
    """Only what differs is written: a poll that finds nothing new costs no write."""
    with ledger.write() as db:
        db.executemany(
            "INSERT INTO known (source, repo, revision, seen_at) VALUES (?, ?, ?, ?) ON CONFLICT (source, repo)"
            " DO UPDATE SET revision = excluded.revision, seen_at = excluded.seen_at, gone_at = NULL",
            [(source, repo, revision, ledger.clock()) for repo, revision in changed.items()],
        )
        db.executemany(
            "UPDATE known SET gone_at = ? WHERE source = ? AND repo = ?",
            [(ledger.clock(), source, repo) for repo in gone],
        )
