"""What can be looked at besides deployments: the cluster and the costs. The CLI and Slack show the same."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.sentences import bar, plural
from bot.show import table
from gateway.ledger.reports import totals
from lifecycle.errors import Refused
from lifecycle.jobs import JobState, Snapshot
from lifecycle.settings import Settings

OURS = "dz-"
"""How the names of our jobs begin."""


@dataclass(frozen=True)
class Gpus:
    """GPUs held by our jobs and by everybody else's, and what waits. `silence`: why nothing is known."""

    ours: int
    others: int
    waiting_jobs: int
    waiting: int
    silence: str = ""
    total: int | None = None

    @property
    def sentence(self) -> str:
        if self.silence:
            return f"Not known: {self.silence}"
        waits = f"{plural(self.waiting_jobs, 'job')} for {plural(self.waiting, 'GPU')}" if self.waiting_jobs else "none"
        free = max(0, (self.total or 0) - self.ours - self.others)
        of = f", {free} of {self.total} free" if self.total else ""
        return f"{self.ours} by dayzero, {self.others} by others{of}; waiting: {waits}"

    @property
    def bar(self) -> str:
        """How much of the whole site is held, as a bar; empty where that is not known."""
        if self.silence or not self.total:
            return ""
        held = self.ours + self.others
        return f"{bar(held / self.total)} {held} of {self.total} held"


def gpus(snapshot: Snapshot, total: int | None = None) -> Gpus:
    """`total`: of the whole site."""
    if not snapshot.ok:
        return Gpus(0, 0, 0, 0, snapshot.silence or "the scheduler gives no answer.")
    running = [job for job in snapshot.jobs.values() if job.state is JobState.RUNNING]
    queued = [job for job in snapshot.jobs.values() if job.state is JobState.QUEUED]
    ours = sum(job.gpus for job in running if job.name.startswith(OURS))
    others = sum(job.gpus for job in running) - ours
    return Gpus(ours, others, len(queued), sum(job.gpus for job in queued), total=total)


def cluster(snapshot: Snapshot, now: float, total: int | None = None) -> str:
    """GPUs in sum, then who holds or waits for them: by QOS and user."""
    lines = [f"GPUs held: {gpus(snapshot, total).sentence}"]
    rows: dict[tuple[str, str, str], list[int]] = {}
    for job in snapshot.jobs.values() if snapshot.ok else ():
        if not job.state.ended and job.state is not JobState.UNKNOWN:
            row = rows.setdefault((job.qos or "-", job.user or "-", job.state.value), [0, 0, 0])
            row[0] += 1
            row[1] += job.gpus
            row[2] += job.node_count
    if rows:
        shown = [
            {"QOS": qos, "USER": user, "STATE": state, "JOBS": jobs, "GPUS": held, "NODES": nodes}
            for (qos, user, state), (jobs, held, nodes) in sorted(rows.items())
        ]
        lines += ["", table(shown[:25])]
    return "\n".join(lines)


def cluster_data(snapshot: Snapshot, total: int | None = None) -> dict[str, Any]:
    found = gpus(snapshot, total)
    return {"ours": found.ours, "others": found.others, "waiting_jobs": found.waiting_jobs,
            "waiting_gpus": found.waiting, "silence": found.silence,
            "total": total}  # fmt: skip


def today(settings: Settings, now: float) -> list[dict[str, Any]]:
    """Sums per model since midnight, here; empty before the gateway's first start."""
    day = time.localtime(now)
    midnight = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))
    try:
        return totals(settings.gateway_store, "model", midnight)
    except Refused:
        return []


def costs(rows: Sequence[dict[str, Any]]) -> str:
    """Today's requests, tokens and cost per model, with their sum."""
    if not rows:
        return "Nothing was called today."
    shown = [
        {
            "MODEL": r["what"], "REQUESTS": r["requests"], "TOKENS IN": r["prompt_tokens"],
            "TOKENS OUT": r["completion_tokens"], "COST": f"{r['cost']:.2f}",
        }
        for r in rows
    ]  # fmt: skip
    return f"{table(shown)}\n\nToday: {spent(rows)}. `dayzero usage --by team --days 30` has more."


def spent(rows: Sequence[dict[str, Any]]) -> str:
    requests, cost = sum(r["requests"] for r in rows), sum(r["cost"] for r in rows)
    return f"{cost:.2f} for {plural(requests, 'request')}"
