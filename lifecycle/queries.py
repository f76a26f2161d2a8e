"""Named reads of the ledger. Each takes a connection and returns frozen rows."""

import sqlite3

from lifecycle.errors import NotFound
from lifecycle.records import Deployment, Event, Job, Release, Server, VictimRow


def release(db: sqlite3.Connection, row: int) -> Release:
    found = db.execute("SELECT * FROM releases WHERE id = ?", (row,)).fetchone()
    if found is None:
        raise NotFound(f"There is no release {row}.", "`dayzero status` lists them.")
    return Release.of(found)


def release_of(db: sqlite3.Connection, kind: str, repo: str, revision: str) -> Release | None:
    query = "SELECT * FROM releases WHERE kind = ? AND repo = ? AND revision = ?"
    found = db.execute(query, (kind, repo, revision)).fetchone()
    return Release.of(found) if found else None


def releases_in(db: sqlite3.Connection, *states: str) -> list[Release]:
    marks = ", ".join("?" * len(states))
    return [Release.of(r) for r in db.execute(f"SELECT * FROM releases WHERE state IN ({marks}) ORDER BY id", states)]


def deployment(db: sqlite3.Connection, name: str) -> Deployment:
    found = db.execute("SELECT * FROM deployments WHERE id = ?", (name,)).fetchone()
    if found is None:
        known = [row[0] for row in db.execute("SELECT id FROM deployments ORDER BY created_at DESC LIMIT 5")]
        advice = f"The latest are: {', '.join(known)}." if known else "There is none yet: `dayzero deploy org/model`."
        raise NotFound(f"There is no deployment {name!r}.", advice)
    return Deployment.of(found)


def named(db: sqlite3.Connection, text: str) -> Deployment:
    """A deployment by its id, or the newest of a model `org/name` (one that has not retired first)."""
    query = "SELECT * FROM deployments WHERE model = ? ORDER BY state = 'RETIRED', created_at DESC LIMIT 1"
    found = db.execute(query, (text,)).fetchone()
    return Deployment.of(found) if found else deployment(db, text)


def deployments(db: sqlite3.Connection, *, retired: bool = False) -> list[Deployment]:
    where = "" if retired else "WHERE state <> 'RETIRED'"
    return [Deployment.of(row) for row in db.execute(f"SELECT * FROM deployments {where} ORDER BY created_at")]


def newest_of_release(db: sqlite3.Connection, row: int) -> Deployment | None:
    query = "SELECT * FROM deployments WHERE release_id = ? ORDER BY created_at DESC LIMIT 1"
    found = db.execute(query, (row,)).fetchone()
    return Deployment.of(found) if found else None


def due_deployments(db: sqlite3.Connection, now: float) -> list[Deployment]:
    query = "SELECT * FROM deployments WHERE state <> 'RETIRED' AND due_at <= ? ORDER BY created_at"
    return [Deployment.of(row) for row in db.execute(query, (now,))]


def servers_of(db: sqlite3.Connection, name: str) -> list[Server]:
    return [Server.of(row) for row in db.execute("SELECT * FROM servers WHERE deployment_id = ? ORDER BY n", (name,))]


def server(db: sqlite3.Connection, row: int) -> Server:
    return Server.of(db.execute("SELECT * FROM servers WHERE id = ?", (row,)).fetchone())


def live_servers(db: sqlite3.Connection) -> list[Server]:
    return [Server.of(row) for row in db.execute("SELECT * FROM servers WHERE state <> 'GONE' ORDER BY id")]


def job(db: sqlite3.Connection, key: str) -> Job | None:
    found = db.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
    return Job.of(found) if found else None


def last_job(db: sqlite3.Connection, name: str, purpose: str) -> Job | None:
    query = "SELECT * FROM jobs WHERE deployment_id = ? AND purpose = ? ORDER BY created_at DESC, attempt DESC LIMIT 1"
    found = db.execute(query, (name, purpose)).fetchone()
    return Job.of(found) if found else None


def jobs_of(db: sqlite3.Connection, name: str) -> list[Job]:
    query = "SELECT * FROM jobs WHERE deployment_id = ? ORDER BY created_at"
    return [Job.of(row) for row in db.execute(query, (name,))]


def live_jobs(db: sqlite3.Connection) -> list[Job]:
    return [Job.of(row) for row in db.execute("SELECT * FROM jobs WHERE ended_at IS NULL ORDER BY created_at")]


def open_victims(db: sqlite3.Connection) -> list[VictimRow]:
    query = "SELECT * FROM victims WHERE state IN ('EXPECTED', 'REQUEUED', 'SUSPENDED') ORDER BY id"
    return [VictimRow.of(row) for row in db.execute(query)]


def victims_of(db: sqlite3.Connection, name: str) -> list[VictimRow]:
    return [VictimRow.of(r) for r in db.execute("SELECT * FROM victims WHERE deployment_id = ? ORDER BY id", (name,))]


def preemptions_since(db: sqlite3.Connection, since: float) -> list[float]:
    """When jobs of others made room for ours, oldest first: those that lost their nodes, whatever became of them."""
    kinds = "'victim.requeued', 'victim.suspended', 'victim.cancelled'"
    query = f"SELECT at FROM events WHERE kind IN ({kinds}) AND old = 'EXPECTED' AND at > ? ORDER BY at"
    return [row[0] for row in db.execute(query, (since,))]


def gpu_hours_of(db: sqlite3.Connection, name: str) -> float:
    """What the servers of a deployment that are over have taken."""
    query = (
        "SELECT coalesce(sum(json_extract(detail, '$.gpu_hours')), 0) FROM events"
        " WHERE deployment_id = ? AND kind IN ('server.gone', 'server.lost')"
    )
    return db.execute(query, (name,)).fetchone()[0]


def generation(db: sqlite3.Connection) -> int:
    """Of the routing: grows with every change that the gateway must take over."""
    return db.execute("SELECT generation FROM routing").fetchone()[0]


def events_after(db: sqlite3.Connection, last: int, limit: int = 500) -> list[Event]:
    query = "SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?"
    return [Event.of(row) for row in db.execute(query, (last, limit))]


def history(db: sqlite3.Connection, name: str) -> list[Event]:
    """All that happened to a deployment and its release, oldest first."""
    query = (
        "SELECT * FROM events WHERE deployment_id = :name OR (deployment_id IS NULL AND release_id = "
        "(SELECT release_id FROM deployments WHERE id = :name)) ORDER BY id"
    )
    return [Event.of(row) for row in db.execute(query, {"name": name})]
