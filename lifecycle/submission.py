"""From an intention to a job in the queue, once and only once."""

from lifecycle import queries
from lifecycle.jobs import JobState, Sighting, Snapshot
from lifecycle.ports import Script
from lifecycle.records import Job
from lifecycle.world import World


def submit_once(
    world: World, script: Script, deployment: str, purpose: str, attempt: int, server_id: int | None
) -> str:
    """Write the intention, submit, write down the handle; return the handle.

    A killed run may have left the intention without a handle, with or without a job behind it: then the scheduler is
    asked for that name before anything is submitted.
    """
    fresh = world.ledger.intend(script.key, deployment, purpose, attempt, script.path, server_id)
    job = queries.job(world.ledger.connection, script.key)
    if job.handle is not None:
        return job.handle
    handle = None if fresh else world.scheduler.find([script.key]).get(script.key)
    recovered = handle is not None
    if handle is None:
        handle = world.scheduler.submit(script)
    world.ledger.submitted(script.key, handle, deployment_id=deployment, purpose=purpose, recovered=recovered)
    return handle


def look(job: Job | None, snapshot: Snapshot) -> Sighting | None:
    """How the scheduler saw this job, or None: it is not known to be submitted.

    A job whose end is written down is not asked for any more; then the row speaks.
    """
    if job is None or job.handle is None:
        return None
    if job.ended_at is not None:
        return Sighting(handle=job.handle, name=job.key, state=JobState[job.state], word=job.state)
    return snapshot.look(job.handle)


def cancel(world: World, job: Job, *, gently: bool = False) -> None:
    """Ask for the end of a job; asked again, then not gently, only after a while: each time costs a command."""
    asked = job.cancelled_at
    if job.handle is None or job.ended_at is not None:
        return
    if asked is None or world.clock() - asked > world.limits.cancel_again_s:
        world.scheduler.cancel(job.handle, gently=gently and asked is None)
        world.ledger.job_cancelled(job.key)
