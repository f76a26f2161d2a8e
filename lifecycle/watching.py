"""What the watchers remember: when to look at a source again, and what was there the last time."""

import json
from collections.abc import Mapping
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
    """Keep the result of a good look."""
    with ledger.write() as db:
        db.execute(
            "INSERT INTO watches (source, cursor, polled_at, due_at, error) VALUES (?, ?, ?, ?, '')"
            " ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, polled_at = excluded.polled_at,"
            " due_at = excluded.due_at, error = ''",
            (source, json.dumps(cursor), ledger.clock(), due_at),
        )


def stumbled(ledger: Ledger, source: str, sentence: str, due_at: float) -> None:
    """Keep why a look failed; the cursor stays. One event for each new sentence, not for each failure."""
    with ledger.write() as db:
        row = db.execute("SELECT error FROM watches WHERE source = ?", (source,)).fetchone()
        db.execute(
            "INSERT INTO watches (source, due_at, error) VALUES (?, ?, ?) ON CONFLICT (source)"
            " DO UPDATE SET due_at = excluded.due_at, error = excluded.error",
            (source, due_at, sentence),
        )
        if row is None or row["error"] != sentence:
            ledger.note("note.watch_failed", detail={"source": source, "sentence": sentence})


def known(ledger: Ledger, source: str) -> dict[str, str]:
    """repository → revision, as of the last good look."""
    rows = ledger.connection.execute("SELECT repo, revision FROM known WHERE source = ?", (source,))
    return {row["repo"]: row["revision"] for row in rows}


def remember(ledger: Ledger, source: str, changed: Mapping[str, str], gone: set[str]) -> None:
    """Only what differs is written: a poll that finds nothing new costs no write."""
    with ledger.write() as db:
        db.executemany(
            "INSERT INTO known (source, repo, revision, seen_at) VALUES (?, ?, ?, ?) ON CONFLICT (source, repo)"
            " DO UPDATE SET revision = excluded.revision, seen_at = excluded.seen_at",
            [(source, repo, revision, ledger.clock()) for repo, revision in changed.items()],
        )
        db.executemany("DELETE FROM known WHERE source = ? AND repo = ?", [(source, repo) for repo in gone])
