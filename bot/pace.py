"""How long each stage of past releases took, from publication to preview. Read from the events."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bot.sentences import duration
from bot.show import table

STAGES = (
    ("SEEN", "release.found"),
    ("CARD", "release.offered"),
    ("DECISION", "release.approved"),
    ("WEIGHTS", "deployment.cached"),
    ("SERVER", "deployment.healthy"),
    ("GATEWAY", "deployment.listed"),
    ("GAUNTLET", "deployment.passed"),
)
"""Name → the event that ends the stage; each begins where the one before has ended."""


@dataclass(frozen=True)
class Pace:
    """Seconds per stage of one release; None: it did not come so far. `total`: publication to preview."""

    repo: str
    stages: tuple[float | None, ...]
    total: float | None


def paces(db: sqlite3.Connection, limit: int = 20) -> list[Pace]:
    """Of the latest approved models, newest first. A stage that was gone through twice counts until its first end."""
    marks = ", ".join("?" * len(STAGES))
    query = (
        "SELECT r.id, r.repo, r.published_at, r.found_at, e.kind, min(e.at) AS at FROM events e"
        " JOIN releases r ON r.id = e.release_id"
        f" WHERE r.kind = 'model' AND r.state = 'APPROVED' AND e.kind IN ({marks})"
        " GROUP BY r.id, e.kind ORDER BY r.id DESC"
    )
    found: dict[int, dict[str, Any]] = {}
    for row in db.execute(query, [kind for _, kind in STAGES]):
        known = found.setdefault(row["id"], {"repo": row["repo"], "began": row["published_at"] or row["found_at"]})
        known[row["kind"]] = row["at"]
        if len(found) > limit:
            break
    return [_pace(times) for times in list(found.values())[:limit]]


def _pace(times: dict[str, Any]) -> Pace:
    before, took = times["began"], []
    for _, kind in STAGES:
        at = times.get(kind)
        took.append(None if at is None else max(0.0, at - before))
        before = before if at is None else at
    end = times.get(STAGES[-1][1])
    return Pace(times["repo"], tuple(took), None if end is None else end - times["began"])


def shown(found: Sequence[Pace]) -> str:
    """A table, with the median of each column below it."""
    if not found:
        return "No release has been approved yet."
    rows = [_row(pace.repo, pace.stages, pace.total) for pace in found]
    if len(found) > 1:
        middle = [_middle([pace.stages[i] for pace in found]) for i in range(len(STAGES))]
        rows.append(_row("(median)", middle, _middle([pace.total for pace in found])))
    return table(rows)


def _row(name: str, stages: Sequence[float | None], total: float | None) -> dict[str, str]:
    cells = {title: "" if s is None else duration(s) for (title, _), s in zip(STAGES, stages, strict=True)}
    return {"MODEL": name, **cells, "TOTAL": "" if total is None else duration(total)}


def _middle(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return median(known) if known else None


def data(found: Sequence[Pace]) -> list[dict[str, Any]]:
    names = [title.lower() for title, _ in STAGES]
    return [{"repo": p.repo, **dict(zip(names, p.stages, strict=True)), "total": p.total} for p in found]
