"""Rows of the ledger as frozen values. Times are epoch seconds UTC."""

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from lifecycle.models import ModelFacts
from lifecycle.plans import Plan


@dataclass(frozen=True, kw_only=True)
class Release:
    id: int
    kind: str  # "model" (a Hub repository) or "framework" (a GitHub repository)
    repo: str
    revision: str  # commit sha, or the release's tag
    state: str
    found_at: float
    published_at: float | None
    facts: ModelFacts | None
    plan: Plan | None  # what the card offers
    refusal: str  # why there is no plan
    notes: dict[str, Any] = field(default_factory=dict)  # framework releases: title, url
    wake_at: float | None = None

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Release":
        d = dict(row)
        d["facts"] = ModelFacts.from_dict(json.loads(d["facts"])) if d["facts"] else None
        d["plan"] = Plan.from_dict(json.loads(d["plan"])) if d["plan"] else None
        d["notes"] = json.loads(d["notes"] or "{}")
        d["refusal"] = d["refusal"] or ""
        return cls(**d)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    id: str  # folder name, job-name part, gateway name: letters, digits, dot, dash
    release_id: int | None
    model: str
    revision: str
    plan: Plan
    state: str
    since: float  # of the state
    created_at: float
    created_by: str
    broke_in: str | None
    reason: str  # of BROKEN, HELD, DRAINING: one plain sentence
    next_step: str
    replaces: str | None
    weight: float
    progress: dict[str, Any]  # {"stage": ..., ...} for the person who watches; no decision depends on it
    attempts: int  # how often the present state was tried
    due_at: float
    exam: int  # number of the present Gauntlet run; 0: none yet
    verdict: dict[str, Any] | None
    replicas: int = 1  # servers while it is awake, at least
    replicas_most: int = 1  # ... and under load
    idle_s: float | None = None  # without a request for so long it goes to sleep; None: never
    awake_hours: str = ""  # by the clock, as guards.quiet_hours are written; empty: by requests alone
    asleep_since: float | None = None  # it has no server, on purpose
    awake_since: float | None = None  # when it was last woken
    busy_since: float | None = None  # its servers have all they can do
    calm_since: float | None = None  # one fewer would do
    load_s: float | None = None  # from wanting a server to its first answer, the last time
    aliases: tuple[str, ...] = ()  # names of what it has replaced: it answers to them, too

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Deployment":
        d = dict(row)
        d["aliases"] = tuple(json.loads(d["aliases"]))
        d["plan"] = Plan.from_dict(json.loads(d["plan"]))
        d["progress"] = json.loads(d["progress"] or "{}")
        d["verdict"] = json.loads(d["verdict"]) if d["verdict"] else None
        return cls(**d)


@dataclass(frozen=True, kw_only=True)
class Server:
    id: int
    deployment_id: str
    n: int  # counts up within the deployment
    state: str
    since: float
    created_at: float
    url: str
    backend_model: str  # the model's name on the backend
    engine: str
    restarts: int
    started_at: float | None
    ended_at: float | None
    nodes: str  # comma-separated
    reason: str
    held_until: float | None = None  # by a guard rail; then the rails are asked again

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Server":
        return cls(**dict(row))


@dataclass(frozen=True, kw_only=True)
class Job:
    """An intention, and what became of it. The key is the scheduler's job name."""

    key: str
    deployment_id: str
    purpose: str  # "cache", "serve", "exam"
    server_id: int | None
    attempt: int
    script: str
    handle: str | None  # None: intended, not known to be submitted
    state: str
    created_at: float
    submitted_at: float | None
    ended_at: float | None
    cancelled_at: float | None  # when we asked for its end

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Job":
        return cls(**dict(row))


@dataclass(frozen=True, kw_only=True)
class VictimRow:
    id: int
    deployment_id: str
    server_id: int | None
    handle: str
    name: str
    user: str
    gpus: int
    node_count: int
    ran_s: float
    restarts: int
    state: str
    since: float

    @classmethod
    def of(cls, row: sqlite3.Row) -> "VictimRow":
        return cls(**dict(row))


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened: `kind` is 'deployment.passed', 'server.ready', 'victim.requeued', 'note.…'."""

    id: int
    at: float
    kind: str
    release_id: int | None
    deployment_id: str | None
    server_id: int | None
    victim_id: int | None
    old: str
    new: str
    by: str  # who: "dayzero", or a person
    detail: dict[str, Any]

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Event":
        d = dict(row)
        d["detail"] = json.loads(d["detail"] or "{}")
        return cls(**d)
