"""Which weights lie on the shared file system, who needs them, and which may go to make room.

Needed is: what a living deployment is about, what a server's heartbeat names (one that was submitted by hand, too),
what a caching job is writing, what somebody pinned, and what was used lately. Nothing else keeps weights.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch.payloads import cache_lock
from batch.payloads.room import room
from lifecycle.errors import NotFound
from lifecycle.jobs import JobState
from lifecycle.ledger import Ledger
from lifecycle.ports import Scheduler
from lifecycle.runfolder import model_folder, read_json, write_json

LEASE_S = 900.0
"""A server whose heartbeat is younger than this is reading its weights, whoever started it."""

ORPHAN_S = 86_400.0
"""What nobody writes to and nobody wants is kept this long: a person may be about to retry."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One commit of one model, published or half fetched (`staged`). Sizes in bytes, times in epoch seconds."""

    repo: str
    revision: str
    folder: Path
    size: int
    last_used: float
    kept: str = ""  # why it stays, in words; empty: it may go
    pinned: str = ""  # by whom
    staged: bool = False


def survey(shared: Path, ledger: Ledger, scheduler: Scheduler, keep_s: float, now: float) -> list[Weights]:
    """All weights under `shared`, least recently used first; at most one question to the scheduler.

    A lock's job counts as dead only when the scheduler says so: silence keeps what is half fetched.
    """
    leases, found = _leases(shared, now), []
    for folder, manifest in _published(shared):
        repo, revision = "/".join(folder.parts[-3:-1]), folder.name
        wanted, used = _deployed(ledger.connection, repo, revision)
        last = max(manifest.get("at", 0.0), used, leases.get(folder, 0.0))
        pinned = (read_json(_pin(shared, repo, revision)) or {}).get("by", "")
        recent = f"used less than {keep_s / 86_400:g} days ago" if now - last < keep_s else ""
        served = "a server reads it" if folder in leases else ""
        found.append(
            Weights(
                repo=repo, revision=revision, folder=folder, size=manifest.get("bytes", 0), last_used=last,
                kept=wanted or served or (f"pinned by {pinned}" if pinned else "") or recent, pinned=pinned,
            )
        )  # fmt: skip
    return sorted([*found, *_staged(shared, ledger.connection, scheduler, now)], key=lambda w: w.last_used)


def choose(found: Collection[Weights], free: int, wanted: int) -> list[Weights]:
    """What has to go until `wanted` bytes are free: nothing that is kept, the least recently used first. Pure."""
    going = []
    for one in sorted((w for w in found if not w.kept), key=lambda w: (not w.staged, w.last_used)):
        if free >= wanted:
            break
        going.append(one)
        free += one.size
    return going


def remove(shared: Path, ledger: Ledger, one: Weights) -> bool:
    """Delete weights; False: somebody wants them by now. Renamed inside a write transaction of the ledger, so that an
    approval comes before it (and keeps them) or after it (and fetches them again).
    """
    lock = cache_lock.Lock(_lock(shared, one.repo, one.revision), cache_lock.this_process(shared))
    if lock.take() is not None:
        return False
    trash = shared / "models" / ".staging" / f".trash-{uuid.uuid4().hex}"
    try:
        with ledger.write() as connection:
            if _deployed(connection, one.repo, one.revision)[0] or _pin(shared, one.repo, one.revision).exists():
                return False
            try:
                one.folder.rename(trash)
            except FileNotFoundError:
                return False
    finally:
        lock.release()
    shutil.rmtree(trash)
    return True


def pin(shared: Path, repo: str, revision: str, by: str) -> None:
    """Keep these weights until they are unpinned. NotFound when they are not there."""
    if not model_folder(shared, repo, revision).is_dir():
        raise NotFound(f"{repo}@{revision} is not here.", "`dayzero weights list` shows what is.")
    write_json(_pin(shared, repo, revision), {"by": by})


def unpin(shared: Path, repo: str, revision: str) -> None:
    """The opposite; nothing when they are not pinned."""
    _pin(shared, repo, revision).unlink(missing_ok=True)


def free_bytes(shared: Path) -> int:
    """What is free there, and within the quotas of whoever runs this."""
    shared.mkdir(parents=True, exist_ok=True)
    return room(shared).free


def _published(shared: Path) -> Iterator[tuple[Path, dict]]:
    for path in sorted((shared / "models").glob("[!.]*/*/*/manifest.json")):
        yield path.parent, read_json(path) or {}


def _deployed(db: sqlite3.Connection, repo: str, revision: str) -> tuple[str, float]:
    """(which deployment wants it, when one last did)."""
    query = (
        "SELECT id, state, since FROM deployments WHERE model = :repo AND (revision = :revision OR (state IN"
        " ('CACHING', 'BROKEN') AND json_extract(plan, '$.quantizing.made_from') = :revision))"
        " ORDER BY state = 'RETIRED', since"
    )
    rows = db.execute(query, {"repo": repo, "revision": revision}).fetchall()
    alive = next((f"{row['id']} is {row['state']}" for row in rows if row["state"] != "RETIRED"), "")
    return alive, max((row["since"] for row in rows), default=0.0)


def _leases(shared: Path, now: float) -> dict[Path, float]:
    """Folder → youngest heartbeat of a server that reads it."""
    leases: dict[Path, float] = {}
    for path in (shared / "runs").glob("*/servers/*/heartbeat.json"):
        at = (read_json(path) or {}).get("at", 0.0)
        if now - at < LEASE_S and (launch := read_json(path.with_name("launch.json"))):
            folder = Path(launch.get("model_folder", ""))
            leases[folder] = max(at, leases.get(folder, 0.0))
    return leases


def _staged(shared: Path, db: sqlite3.Connection, scheduler: Scheduler, now: float) -> Iterator[Weights]:
    folders = [p for p in (shared / "models" / ".staging").glob("*") if p.is_dir()]
    owners = {p: cache_lock.read_owner(p.with_name(p.name + ".lock")) for p in folders}
    alive = _alive(scheduler, {owner.job for owner in owners.values() if owner and owner.job})
    for folder in folders:
        org, _, rest = folder.name.partition("--")
        name, _, revision = rest.rpartition("--")
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        last = max((stat.st_mtime for stat in [*files, folder.stat()]), default=0.0)
        owner, kept = owners[folder], _deployed(db, f"{org}/{name}", revision)[0]
        if owner and owner.job and alive(owner.job):
            kept = f"job {owner.job} is fetching it"
        elif owner and not owner.job and now - last < cache_lock.STALE_S:
            kept = f"process {owner.pid} on {owner.host} is fetching it"
        elif not kept and not (owner and owner.job) and now - last < ORPHAN_S:
            kept = "half fetched less than a day ago"
        yield Weights(
            repo=f"{org}/{name}", revision=revision, folder=folder, size=sum(s.st_blocks * 512 for s in files),
            last_used=last, kept=kept, staged=True,
        )  # fmt: skip


def _alive(scheduler: Scheduler, jobs: Collection[str]) -> Callable[[str], bool]:
    if not jobs:
        return lambda job: False
    snapshot = scheduler.snapshot(jobs)
    states: Mapping[str, JobState] = {job: snapshot.look(job).state for job in jobs}
    return lambda job: not states[job].ended


def _name(repo: str, revision: str) -> str:
    return f"{repo.replace('/', '--', 1)}--{revision}"


def _lock(shared: Path, repo: str, revision: str) -> Path:
    return shared / "models" / ".staging" / f"{_name(repo, revision)}.lock"


def _pin(shared: Path, repo: str, revision: str) -> Path:
    return shared / "models" / ".pins" / f"{_name(repo, revision)}.json"
