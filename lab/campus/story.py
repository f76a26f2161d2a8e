"""The story as somebody outside sees it: reads the ledger, never writes it; times each stage; says what happens."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class StoryFailed(Exception):
    """What was waited for did not come; the text says what came instead and where to read on."""


@dataclass(frozen=True)
class Happening:
    """One event of the ledger."""

    id: int
    at: float
    kind: str
    deployment: str | None
    new: str
    detail: str


class Ledger:
    """A read-only look at dayzero's ledger. A fresh connection each time: the service may be killed at any moment."""

    def __init__(self, path: Path):
        self._path = path

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        if not self._path.exists():
            return []
        connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # not migrated yet
            return []
        finally:
            connection.close()

    def events(self, after: int = 0) -> list[Happening]:
        query = "SELECT id, at, kind, deployment_id, new, detail FROM events WHERE id > ? ORDER BY id"
        return [Happening(*row) for row in self.rows(query, after)]

    def deployment(self, model: str) -> sqlite3.Row | None:
        """The newest deployment of a model."""
        query = "SELECT * FROM deployments WHERE model = ? ORDER BY created_at DESC LIMIT 1"
        return next(iter(self.rows(query, model)), None)

    def release(self, model: str) -> sqlite3.Row | None:
        query = "SELECT * FROM releases WHERE repo = ? ORDER BY id DESC LIMIT 1"
        return next(iter(self.rows(query, model)), None)

    def watched(self, source: str) -> bool:
        """Has the watcher had its first good look?"""
        return bool(self.rows("SELECT 1 FROM watches WHERE source = ? AND polled_at > 0", source))

    def moments(self, model: str) -> dict[str, float]:
        """kind of event → when it first happened to this model."""
        query = (
            "SELECT kind, min(at) FROM events WHERE deployment_id IN (SELECT id FROM deployments WHERE model = ?)"
            " OR release_id IN (SELECT id FROM releases WHERE repo = ?) GROUP BY kind"
        )
        return {row[0]: row[1] for row in self.rows(query, model, model)}

    def wait(
        self, model: str, states: tuple[str, ...], timeout_s: float, watch: Callable[[], None] = lambda: None
    ) -> sqlite3.Row:
        """Until the newest deployment of `model` is in one of `states`; StoryFailed when it breaks or it takes long."""
        deadline = time.monotonic() + timeout_s
        while True:
            row = self.deployment(model)
            if row is not None and row["state"] in states:
                return row
            watch()
            if row is not None and row["state"] in ("BROKEN", "RETIRED"):
                raise StoryFailed(f"{model} is {row['state']}: {row['reason']} {row['next_step']}")
            if time.monotonic() > deadline:
                now = row["state"] if row is not None else "not approved"
                raise StoryFailed(f"{model} is {now} after {timeout_s:.0f} s, not {' or '.join(states)}.")
            time.sleep(0.1)


STAGES = [
    ("published → card", "published", "release.offered"),
    ("card → approved", "release.offered", "deployment.approved"),
    ("approved → weights cached", "deployment.approved", "deployment.cached"),
    ("cached → server gets its nodes", "deployment.cached", "server.running"),
    ("nodes → engine answers", "server.running", "server.ready"),
    ("answers → listed by the gateway", "server.ready", "deployment.listed"),
    ("listed → verdict", "deployment.listed", "verdict"),
]


VERDICTS = ("passed", "failed", "undecided")


def timeline(moments: dict[str, float]) -> list[tuple[str, float]]:
    """(stage, seconds) of what has happened so far."""
    verdicts = [moments[f"deployment.{word}"] for word in VERDICTS if f"deployment.{word}" in moments]
    known = {**moments, **({"verdict": min(verdicts)} if verdicts else {})}
    rows = [(name, known[end] - known[begin]) for name, begin, end in STAGES if begin in known and end in known]
    if "published" in known and "deployment.passed" in known:
        rows.append(("published → preview, in all", known["deployment.passed"] - known["published"]))
    return rows
