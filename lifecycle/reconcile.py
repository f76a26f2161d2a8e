"""tick(): one question to the scheduler, then one step of every row that is due. Loops hold no logic."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lifecycle import images, queries, swaps
from lifecycle.deploying import step_deployment
from lifecycle.errors import DayzeroError, Refused
from lifecycle.images import step_image
from lifecycle.jobs import JobState, Snapshot
from lifecycle.overreach import step_overreach
from lifecycle.preempting import step_victim
from lifecycle.records import Deployment
from lifecycle.serving import step_server
from lifecycle.submission import look
from lifecycle.swapping import step_swap
from lifecycle.world import World


@dataclass(frozen=True)
class Tick:
    """What one tick did: how many rows it looked at, what went wrong, whether the scheduler answered."""

    rows: int
    stumbles: tuple[str, ...]
    scheduler_ok: bool


def tick(world: World) -> Tick:
    """Take one step of every row that is due. A row that raises is pushed forward and recorded; the others go on."""
    db = world.ledger.connection
    snapshot = _snapshot(world)
    _note_silence(world, snapshot)
    stumbles: list[str] = []
    for swap in swaps.open_swaps(db):
        successor = queries.deployment(db, swap.successor)
        _step(world, successor, stumbles, lambda s=swap: step_swap(world, s))
    if not snapshot.ok:
        return Tick(0, (snapshot.silence,), False)  # UNKNOWN moves nothing, and a submission would only wait in vain
    due = {d.id: d for d in queries.due_deployments(db, world.clock())}
    rows = 0
    for server in queries.live_servers(db):
        if (deployment := due.get(server.deployment_id)) is not None:
            rows += 1
            _step(world, deployment, stumbles, lambda s=server, d=deployment: step_server(world, d, s, snapshot))
            _step(world, deployment, stumbles, lambda s=server, d=deployment: step_overreach(world, d, s, snapshot))
    for victim in queries.open_victims(db):
        rows += 1
        deployment = queries.deployment(db, victim.deployment_id)
        _step(world, deployment, stumbles, lambda v=victim, d=deployment: step_victim(world, d, v, snapshot))
    for name in due:
        rows += 1
        deployment = queries.deployment(db, name)
        if deployment.due_at <= world.clock():
            _step(world, deployment, stumbles, lambda d=deployment: step_deployment(world, d, snapshot))
    for image in images.open_images(db):
        rows += 1
        _try(stumbles, image.id, lambda i=image: step_image(world, i, snapshot))
    _write_down(world, snapshot)
    return Tick(rows, tuple(stumbles), snapshot.ok)


def _snapshot(world: World) -> Snapshot:
    """One question for all jobs; none at all when nothing is going on."""
    handles = {job.handle for job in queries.live_jobs(world.ledger.connection) if job.handle}
    handles |= {victim.handle for victim in queries.open_victims(world.ledger.connection)}
    handles |= {image.handle for image in images.open_images(world.ledger.connection) if image.handle}
    if not handles:
        return Snapshot(taken_at=world.clock(), ok=True, jobs={})
    return replace(world.scheduler.snapshot(handles), asked=frozenset(handles))


def _write_down(world: World, snapshot: Snapshot) -> None:
    """Keep each job's state. Ends last of all, so that whoever is killed before this asks for the job again."""
    for job in queries.live_jobs(world.ledger.connection):
        seen = look(job, snapshot)
        if seen is not None and seen.state is not JobState.UNKNOWN and seen.state.value != job.state:
            world.ledger.job_seen(job.key, seen.state.value, ended=seen.state.ended)


def _step(world: World, deployment: Deployment, stumbles: list[str], step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # one bad row must not stop the line
        sentence = error.advice if isinstance(error, DayzeroError) else f"{type(error).__name__}: {error}"
        stumbles.append(f"{deployment.id}: {sentence}")
        attempts = deployment.attempts + 1
        wait = min(world.limits.retry_after_s * 2 ** min(attempts - 1, 10), world.limits.retry_after_most_s)
        if isinstance(error, DayzeroError) and error.retry_after_s is not None:
            wait = error.retry_after_s
        world.ledger.amend("deployments", deployment.id, attempts=attempts, due_at=world.clock() + wait)
        if attempts == 1:
            world.ledger.note(
                "note.stumbled", deployment_id=deployment.id, detail={"sentence": sentence, "wait_s": wait}
            )


def _try(stumbles: list[str], name: str, step: Callable[[], None]) -> None:
    """A row that is no deployment's: what stops it is said, and it comes again at the next tick."""
    try:
        step()
    except Exception as error:  # one bad row must not stop the line
        stumbles.append(f"{name}: {error.advice if isinstance(error, DayzeroError) else repr(error)}")


def _note_silence(world: World, snapshot: Snapshot) -> None:
    """One event when the scheduler falls silent, one when it speaks again."""
    with world.ledger.write() as db:
        row = db.execute("SELECT value FROM cursors WHERE name = 'scheduler_silent'").fetchone()
        silent = bool(row and row[0])
        if silent == (not snapshot.ok):
            return
        db.execute("INSERT OR REPLACE INTO cursors VALUES ('scheduler_silent', ?)", (int(not snapshot.ok),))
        kind = "note.scheduler_back" if snapshot.ok else "note.scheduler_silent"
        world.ledger.note(kind, detail={"sentence": snapshot.silence})


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Only one process ticks at a time, by a lock that the kernel frees however its holder dies. Else Refused."""
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / "reconciler.lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "Another dayzero process is at work on this ledger.", "It does the same; just wait."
            ) from None
        yield
    finally:
        os.close(descriptor)
