"""While the weights are on their way: does the first engine know the architecture? Said early; nothing depends on it.

One job for each deployment, with dummy weights, behind everybody else in the queue and never with the QOS that
preempts. When the weights are there it ends, so that its GPUs are free for the server.
"""

from lifecycle import deployments, queries
from lifecycle.errors import DayzeroError, SubmissionRefused
from lifecycle.jobs import Snapshot
from lifecycle.naming import job_key
from lifecycle.records import Deployment, Job
from lifecycle.runfolder import RunFolder, read_json
from lifecycle.submission import cancel, look, submit_once
from lifecycle.world import World

PURPOSE = "dry"
PATIENCE_S = 90.0
"""A server waits at most so long for the end of a dry run; longer than Slurm's KillWait."""


def step_dry_run(world: World, deployment: Deployment, snapshot: Snapshot) -> bool:
    """False: a dry run still holds GPUs, so a server would take others."""
    job = queries.job(world.ledger.connection, job_key(deployment.id, PURPOSE, 1))
    if deployment.state == deployments.CACHING:
        if job is None or job.handle is None:
            _begin(world, deployment, job)
        else:
            _tell(world, deployment, job)
        return True
    if job is None or job.handle is None or job.ended_at is not None:
        return True
    _tell(world, deployment, job)
    seen = look(job, snapshot)
    if seen is not None and seen.state.ended:
        return True
    cancel(world, job)
    return world.clock() - deployment.since > PATIENCE_S


def _begin(world: World, deployment: Deployment, job: Job | None) -> None:
    plan = deployment.plan
    if not world.limits.dry_run or not plan.ladder or plan.ladder[0].engine != "vllm":
        return
    if job is not None and job.state == "REFUSED":
        return
    if queries.last_job(world.ledger.connection, deployment.id, "cache") is None:
        return  # the download first
    try:
        submit_once(world, world.recipes.dry(deployment), deployment.id, PURPOSE, 1, None)
    except SubmissionRefused as refusal:  # the site has no place for it: it is only a help
        world.ledger.job_seen(job_key(deployment.id, PURPOSE, 1), "REFUSED", ended=True)
        _note(world, deployment, {"ok": None, "sentence": f"No dry run: {refusal}", "next_step": refusal.next_step})
    except DayzeroError:
        return  # the next tick asks again; the download must not wait for it


def _tell(world: World, deployment: Deployment, job: Job) -> None:
    """Once, when it is known."""
    result = read_json(RunFolder(world.shared, deployment.id).path / "dry" / "result.json")
    if result is not None and result.get("job") == job.handle and not _told(world, deployment):
        keys = ("ok", "sentence", "next_step", "engine_version", "seconds")
        _note(world, deployment, {key: result.get(key) for key in keys})


def _told(world: World, deployment: Deployment) -> bool:
    query = "SELECT 1 FROM events WHERE deployment_id = ? AND kind = 'note.dry_run'"
    return world.ledger.connection.execute(query, (deployment.id,)).fetchone() is not None


def _note(world: World, deployment: Deployment, detail: dict) -> None:
    world.ledger.note("note.dry_run", deployment_id=deployment.id, detail=detail)
