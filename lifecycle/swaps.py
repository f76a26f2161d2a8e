"""Swap: one deployment takes the place of another, in steps that can be taken back. The table, the row, the decisions.

The successor comes up beside the elder and is judged like any other (COMING). Then it answers to the elder's names for
a growing share of the requests (CANARY). Worse than the elder, it answers to none of them until a person decides
(HALTED). With all of them (TAKEN) the elder stays warm for a while, so that one command brings it back at once
(RETURNING); then the elder drains (DONE).
"""

import json
import sqlite3
from dataclasses import dataclass

from lifecycle.machine import Machine
from lifecycle.sections.serving import Swap as Settings

COMING, CANARY, HALTED, TAKEN, RETURNING, DONE, BACK, LOST = (
    "COMING CANARY HALTED TAKEN RETURNING DONE BACK LOST".split()
)

SWAP = Machine(
    "swap",
    COMING,
    {
        COMING: {"began": CANARY, "rolled_back": RETURNING, "lost": LOST, "alone": DONE},
        CANARY: {
            "stepped": CANARY, "took_over": TAKEN, "halted": HALTED, "rolled_back": RETURNING, "lost": LOST,
            "alone": DONE,
        },
        HALTED: {"resumed": CANARY, "rolled_back": RETURNING, "lost": LOST, "alone": DONE},
        TAKEN: {"finished": DONE, "halted": HALTED, "rolled_back": RETURNING, "lost": LOST, "alone": DONE},
        RETURNING: {"returned": BACK, "lost": LOST, "alone": DONE},
        DONE: {},
        BACK: {},
        LOST: {},
    },
)  # fmt: skip

OPEN = tuple(state for state, arrows in SWAP.table.items() if arrows)
"""While a swap is in one of these, only it decides who answers to the elder's names."""

STANDS_IN = frozenset({CANARY, HALTED, TAKEN, RETURNING})
"""The successor may answer for the elder: by its weight, and when no server of the elder does."""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """`steps` in percent of the requests; `step` is the present one, `share` (0 to 1) what the successor gets now."""

    id: int
    successor: str
    elder: str
    state: str
    since: float
    step: int
    steps: tuple[int, ...]
    share: float
    by: str

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Swap":
        d = dict(row)
        return cls(**{**d, "steps": tuple(json.loads(d["steps"]))})


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How one deployment answered over a while. `failed` are the server's own failures; `ttft_s`: the median."""

    requests: int = 0
    failed: int = 0
    ttft_s: float | None = None

    @property
    def rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, kw_only=True)
class SwapRules:
    """As in the settings' [swap]; times in seconds."""

    steps: tuple[int, ...] = (5, 25, 50, 100)
    step_s: float = 600
    keep_s: float = 3600
    errors: float = 0.02
    ttft: float = 1.5
    requests: int = 20
    failures: int = 3

    @classmethod
    def of(cls, swap: Settings) -> "SwapRules":
        return cls(
            steps=swap.steps,
            step_s=swap.step_minutes * 60,
            keep_s=swap.keep_minutes * 60,
            errors=swap.worse_errors,
            ttft=swap.worse_ttft,
            requests=swap.judged_requests,
            failures=swap.judged_failures,
        )


USUAL_RULES = SwapRules()


def worse(elder: Quality, successor: Quality, rules: SwapRules) -> str:
    """Why the successor must not have this share, as a sentence; '' when nothing speaks against it. Pure."""
    if successor.failed >= rules.failures and successor.rate > elder.rate + rules.errors:
        return (
            f"{successor.failed} of its {successor.requests} requests failed, "
            f"of the elder's {elder.failed} of {elder.requests}."
        )
    if min(elder.requests, successor.requests) < rules.requests or elder.ttft_s is None or successor.ttft_s is None:
        return ""
    if successor.ttft_s > elder.ttft_s * rules.ttft:
        return (
            f"Its first byte takes {successor.ttft_s * 1000:.0f} ms, the elder's {elder.ttft_s * 1000:.0f} ms "
            f"(medians of {successor.requests} and {elder.requests} requests)."
        )
    return ""


def open_swaps(db: sqlite3.Connection) -> list[Swap]:
    marks = ", ".join("?" * len(OPEN))
    return [Swap.of(row) for row in db.execute(f"SELECT * FROM swaps WHERE state IN ({marks}) ORDER BY id", OPEN)]


def open_swap_of(db: sqlite3.Connection, deployment: str) -> Swap | None:
    """The open swap that this deployment is the elder or the successor of."""
    return next((s for s in open_swaps(db) if deployment in (s.elder, s.successor)), None)


def last_swap_of(db: sqlite3.Connection, deployment: str) -> Swap | None:
    """The newest one, open or over."""
    query = "SELECT * FROM swaps WHERE elder = ? OR successor = ? ORDER BY id DESC LIMIT 1"
    row = db.execute(query, (deployment, deployment)).fetchone()
    return Swap.of(row) if row else None
