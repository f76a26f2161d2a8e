"""The ledger: SQLite on the service host's local disk, and the only writer of what may happen and what has happened.

`move` is one compare-and-set UPDATE and one event row in one transaction. Losing the race is normal: it answers False.
An intention (a row of `jobs`) is written before the side effect; its key is also the scheduler's job name.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from lifecycle import deployments, queries, releases, servers, victims
from lifecycle.deployments import DEPLOYMENT
from lifecycle.errors import NotFound
from lifecycle.jobs import Victim
from lifecycle.machine import Machine
from lifecycle.migrations import MIGRATIONS
from lifecycle.models import ModelFacts
from lifecycle.naming import deployment_id
from lifecycle.plans import Plan
from lifecycle.ports import Clock
from lifecycle.records import Deployment, Release, Server, VictimRow
from lifecycle.releases import RELEASE
from lifecycle.servers import SERVER
from lifecycle.swaps import SWAP, Swap
from lifecycle.victims import VICTIM

SERVICE = "dayzero"
"""Who acts when no person does."""


class Ledger:
    """One per process; each thread gets its own connection. Writes are serialised by BEGIN IMMEDIATE."""

    def __init__(self, path: Path, clock: Clock):
        self.path = path
        self.clock = clock
        self._local = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.write():
            MIGRATIONS.apply(Database(self.connection))

    @property
    def connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # an intention must outlive the power, too
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        if (connection := getattr(self._local, "connection", None)) is not None:
            connection.close()
            self._local.connection = None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction; joins the one that is open in this thread.

        BEGIN IMMEDIATE, because a plain BEGIN that reads first and writes later fails at once with 'database is
        locked' when somebody else has written in between, whatever the timeout.
        """
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    # Moves ------------------------------------------------------------------------------------------------------

    def move_release(
        self, release: Release, event: str, *, by: str = SERVICE, detail: Mapping | None = None, **set_: Any
    ):
        return self._move(
            "releases", RELEASE, release.id, release.state, event, None, by, detail, set_, release_id=release.id
        )

    def move_deployment(
        self, deployment: Deployment, event: str, *, by: str = SERVICE, detail: Mapping | None = None, **set_: Any
    ) -> bool:
        """False: somebody else moved it first. BROKEN keeps where it broke; a move resets the count."""
        now = self.clock()
        changes = {"since": now, "attempts": 0, "due_at": 0, "progress": None, "reason": "", "next_step": ""} | set_
        if DEPLOYMENT.next(deployment.state, event, deployment.broke_in) == deployments.BROKEN:
            changes["broke_in"] = deployment.state
        return self._move(
            "deployments", DEPLOYMENT, deployment.id, deployment.state, event, deployment.broke_in, by, detail, changes,
            release_id=deployment.release_id, deployment_id=deployment.id,
        )  # fmt: skip

    def move_server(
        self, server: Server, event: str, *, by: str = SERVICE, detail: Mapping | None = None, **set_: Any
    ) -> bool:
        changes = {"since": self.clock()} | set_
        return self._move(
            "servers", SERVER, server.id, server.state, event, None, by, detail, changes,
            deployment_id=server.deployment_id, server_id=server.id,
        )  # fmt: skip

    def move_victim(self, victim: VictimRow, event: str, *, detail: Mapping | None = None, **set_: Any) -> bool:
        changes = {"since": self.clock()} | set_
        about = {"handle": victim.handle, "name": victim.name, "user": victim.user} | dict(detail or {})
        return self._move(
            "victims", VICTIM, victim.id, victim.state, event, None, SERVICE, about, changes,
            deployment_id=victim.deployment_id, server_id=victim.server_id, victim_id=victim.id,
        )  # fmt: skip

    def move_swap(
        self, swap: Swap, event: str, *, by: str = SERVICE, detail: Mapping | None = None, **set_: Any
    ) -> bool:
        """With `share`, what the two deployments weigh follows in the same transaction."""
        about = {"elder": swap.elder, "share": set_.get("share", swap.share)} | dict(detail or {})
        release = queries.deployment(self.connection, swap.successor).release_id
        with self.write() as connection:
            moved = self._move(
                "swaps", SWAP, swap.id, swap.state, event, None, by, about, {"since": self.clock()} | set_,
                release_id=release, deployment_id=swap.successor,
            )  # fmt: skip
            if moved and "share" in set_:
                weigh = "UPDATE deployments SET weight = ? WHERE id = ?"
                connection.execute(weigh, (set_["share"], swap.successor))
                connection.execute(weigh, (1 - set_["share"], swap.elder))
                note = f"{SWAP.next(swap.state, event)}: {set_['share']:.0%} of the requests to {swap.elder}"
                over = SWAP.next(swap.state, event) in SWAP.ends
                self.amend("deployments", swap.successor, progress=None if over else {"stage": "swap", "note": note})
        return moved

    def _move(
        self, table: str, machine: Machine, row: int | str, state: str, event: str, origin: str | None, by: str,
        detail: Mapping | None, changes: Mapping[str, Any], **subject: Any,
    ) -> bool:  # fmt: skip
        new = machine.next(state, event, origin)
        columns = {"state": new, **{name: _plain(value) for name, value in changes.items()}}
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self.write() as connection:
            statement = f"UPDATE {table} SET {assignments} WHERE id = :id_ AND state = :state_"
            if connection.execute(statement, {**columns, "id_": row, "state_": state}).rowcount != 1:
                return False
            self.note(f"{machine.name}.{event}", by=by, detail=detail, old=state, new=new, **subject)
        return True

    def note(
        self,
        kind: str,
        *,
        by: str = SERVICE,
        detail: Mapping | None = None,
        old: str = "",
        new: str = "",
        **subject: Any,
    ) -> int:
        """Append one event; `subject` names rows: release_id, deployment_id, server_id, victim_id. Returns its id."""
        columns = {
            "at": self.clock(),
            "kind": kind,
            "old": old,
            "new": new,
            "by": by,
            "detail": dict(detail or {}),
        }
        return self._insert("events", columns | subject)

    def _insert(self, table: str, columns: Mapping[str, Any]) -> int | None:
        """Insert a row and return its id; None when one with the same key is there already."""
        names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        with self.write() as connection:
            statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
            row = connection.execute(statement, {name: _plain(value) for name, value in columns.items()})
            return row.lastrowid if row.rowcount == 1 else None

    # Releases ---------------------------------------------------------------------------------------------------

    def found(
        self, kind: str, repo: str, revision: str, *, by: str = SERVICE, published_at: float | None = None,
        notes: Mapping | None = None,
    ) -> bool:  # fmt: skip
        """Write down a release; one that was withdrawn is back. False when it is known already."""
        columns = {
            "kind": kind,
            "repo": repo,
            "revision": revision,
            "state": releases.FOUND,
            "found_at": self.clock(),
            "published_at": published_at,
            "notes": dict(notes or {}),
        }
        with self.write():
            row = self._insert("releases", columns)
            if row is None:
                known = queries.release_of(self.connection, kind, repo, revision)
                back = known.state == releases.WITHDRAWN
                return back and self.move_release(known, "returned", by=by, wake_at=None)
            self.note("release.found", by=by, release_id=row, new=releases.FOUND, detail={"repo": repo})
        return True

    def learn(self, release: Release, facts: ModelFacts | None, plan: Plan | None, refusal: str = "") -> None:
        """Keep what the Hub said and what the planner made of it; no move."""
        with self.write() as connection:
            connection.execute(
                "UPDATE releases SET facts = ?, plan = ?, refusal = ? WHERE id = ?",
                (_plain(facts), _plain(plan), refusal, release.id),
            )

    def approve(self, release: Release, plan: Plan, *, by: str, replaces: str | None = None) -> str | None:
        """Release → APPROVED and its deployment, in one transaction. The deployment's id; None: somebody was first."""
        with self.write():
            if not self.move_release(release, "approved", by=by, detail={"digest": plan.digest}, plan=plan):
                return None
            return self._deploy(plan, release.id, by, replaces)

    def succeed(self, elder: Deployment, plan: Plan, *, by: str) -> str:
        """A deployment of the same release that is to replace `elder`; its id."""
        return self._deploy(plan, elder.release_id, by, elder.id)

    def _deploy(self, plan: Plan, release_id: int | None, by: str, replaces: str | None) -> str:
        now = self.clock()
        with self.write() as connection:
            taken = {row[0] for row in connection.execute("SELECT id FROM deployments")}
            new = deployment_id(plan.model, plan.revision, taken)
            columns = {
                "id": new,
                "release_id": release_id,
                "model": plan.model,
                "revision": plan.revision,
                "plan": plan,
                "state": DEPLOYMENT.start,
                "since": now,
                "created_at": now,
                "created_by": by,
                "replaces": replaces,
            }
            self._insert("deployments", columns)
            self.note(
                "deployment.approved", by=by, release_id=release_id, deployment_id=new, new=DEPLOYMENT.start,
                detail={"model": plan.model, "digest": plan.digest} | ({"replaces": replaces} if replaces else {}),
            )  # fmt: skip
            for victim in plan.forecast.victims if plan.forecast else ():
                self.expect_victim(new, None, victim)
        return new

    # Servers, jobs, victims -------------------------------------------------------------------------------------

    def want_server(self, deployment: Deployment) -> int:
        """A new row in WANTED; returns its id."""
        now = self.clock()
        with self.write() as connection:
            row = connection.execute(
                "INSERT INTO servers (deployment_id, n, state, since, created_at) VALUES "
                "(?, (SELECT coalesce(max(n), 0) + 1 FROM servers WHERE deployment_id = ?), ?, ?, ?)",
                (deployment.id, deployment.id, servers.WANTED, now, now),
            )
            self.note("server.wanted", deployment_id=deployment.id, server_id=row.lastrowid, new=servers.WANTED)
        return row.lastrowid

    def intend(
        self, key: str, deployment_id: str, purpose: str, attempt: int, script: Path, server_id: int | None
    ) -> bool:
        """The intention to submit `script` as `key`. False: intended before, perhaps by a run that was killed."""
        columns = {
            "key": key,
            "deployment_id": deployment_id,
            "purpose": purpose,
            "server_id": server_id,
            "attempt": attempt,
            "script": str(script),
            "state": "INTENDED",
            "created_at": self.clock(),
        }
        return self._insert("jobs", columns) is not None

    def submitted(self, key: str, handle: str, *, deployment_id: str, purpose: str, recovered: bool = False) -> None:
        with self.write() as connection:
            connection.execute(
                "UPDATE jobs SET handle = ?, state = 'QUEUED', submitted_at = ? WHERE key = ? AND handle IS NULL",
                (handle, self.clock(), key),
            )
            detail = {"key": key, "handle": handle, "purpose": purpose} | ({"recovered": True} if recovered else {})
            self.note("job.submitted", deployment_id=deployment_id, detail=detail)

    def job_seen(self, key: str, state: str, *, ended: bool) -> None:
        with self.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, ended_at = CASE WHEN ? THEN coalesce(ended_at, ?) END"
                " WHERE key = ? AND state <> ?",
                (state, ended, self.clock(), key, state),
            )

    def job_cancelled(self, key: str) -> None:
        with self.write() as connection:
            connection.execute("UPDATE jobs SET cancelled_at = ? WHERE key = ?", (self.clock(), key))

    def expect_victim(
        self, deployment_id: str, server_id: int | None, victim: Victim, *, foreseen: bool = True
    ) -> bool:
        """False: that job is on this deployment's list already. Not `foreseen`: no event, it has happened."""
        columns = {
            "deployment_id": deployment_id,
            "server_id": server_id,
            "handle": victim.handle,
            "name": victim.name,
            "user": victim.user,
            "gpus": victim.gpus,
            "node_count": victim.node_count,
            "ran_s": victim.ran_s,
            "restarts": victim.restarts,
            "state": victims.EXPECTED,
            "since": self.clock(),
        }
        detail = {"handle": victim.handle, "name": victim.name, "user": victim.user, "gpu_hours": victim.gpu_hours}
        with self.write():
            row = self._insert("victims", columns)
            if row is None:
                return False
            if foreseen:
                subject = {"deployment_id": deployment_id, "server_id": server_id, "victim_id": row}
                self.note("victim.expected", detail=detail, **subject)
        return True

    # Small facts about rows -------------------------------------------------------------------------------------

    def amend(self, table: str, row: int | str, **set_: Any) -> None:
        """Change columns that are not a state: progress, due_at, attempts, exam, ..."""
        if "state" in set_ or table not in ("releases", "deployments", "servers", "victims"):
            raise NotFound(f"{table} has no column for that.")
        assignments = ", ".join(f"{name} = :{name}" for name in set_)
        with self.write() as connection:
            values = {name: _plain(value) for name, value in set_.items()} | {"id_": row}
            connection.execute(f"UPDATE {table} SET {assignments} WHERE id = :id_", values)


def _plain(value: Any) -> Any:
    """What SQLite can hold: plans, facts and dicts as JSON."""
    if hasattr(value, "to_dict"):
        return json.dumps(value.to_dict())
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value
