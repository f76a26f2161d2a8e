"""Steps of a deployment: one short function per state that moves by itself. Each takes at most one arrow."""

from collections.abc import Callable

from lifecycle import deployments, overlays, queries, servers
from lifecycle.dry_run import step_dry_run
from lifecycle.ending import TIMED, step_ending
from lifecycle.errors import Refused, SubmissionRefused
from lifecycle.jobs import JobState, Snapshot
from lifecycle.naming import job_key
from lifecycle.ports import Verdict
from lifecycle.records import Deployment, Job, Server
from lifecycle.replicas import step_scaling
from lifecycle.rollover import RELIEVED, ROLLS, step_rollover
from lifecycle.runfolder import RunFolder, download_progress, model_folder, read_json
from lifecycle.submission import cancel, look, submit_once
from lifecycle.world import World

DRY_RUNS = (deployments.CACHING, deployments.STARTING)


def step_deployment(world: World, deployment: Deployment, snapshot: Snapshot) -> None:
    """Take one step of one deployment; its servers have had theirs."""
    if deployment.state in TIMED and step_ending(world, deployment):
        return
    alive = [s for s in queries.servers_of(world.ledger.connection, deployment.id) if s.state in servers.ALIVE]
    if deployment.state in DRY_RUNS and not step_dry_run(world, deployment, snapshot) and not alive:
        return
    if not step_scaling(world, deployment, alive):
        return
    if deployment.state in deployments.NEEDS_SERVER and not alive and not _overlaid(world, deployment):
        return
    if deployment.state in deployments.NEEDS_SERVER and not alive:
        _want_server(world, deployment)
        return
    if (step := STEPS.get(deployment.state)) is not None:
        step(world, deployment, alive, snapshot)


def _overlaid(world: World, deployment: Deployment) -> bool:
    """Is what goes over its image built? What can't be built breaks it."""
    try:
        return overlays.ready(world, deployment)
    except Refused as refusal:
        _break(world, deployment, {"sentence": str(refusal), "next_step": refusal.next_step})
        return False


def _want_server(world: World, deployment: Deployment) -> None:
    """No server lives and one is needed: want one, within the budget; else break with the last one's words."""
    since = max(deployment.since, world.clock() - world.limits.server_window_s)
    every = queries.servers_of(world.ledger.connection, deployment.id)
    dead = [s for s in every if s.ended_at and s.ended_at >= since and s.reason != RELIEVED]
    if dead:
        last = dead[-1]
        why = _last_words(world, last)
        if not why.get("retryable", True) or len(dead) >= world.limits.server_attempts:
            _break(world, deployment, why)
            return
    world.ledger.want_server(deployment)


def _last_words(world: World, server: Server) -> dict:
    for event in reversed(queries.history(world.ledger.connection, server.deployment_id)):
        if event.server_id == server.id and event.kind in ("server.lost", "server.gone"):
            return {"sentence": server.reason or "The server ended.", **event.detail}
    return {"sentence": server.reason or "The server ended."}


def _break(world: World, deployment: Deployment, why: dict) -> None:
    step = why.get("next_step") or "Retry, or abandon it."
    world.ledger.move_deployment(deployment, "broke", reason=why["sentence"], next_step=step, detail=why)


def _caching(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    weights = model_folder(world.shared, deployment.model, deployment.revision)
    manifest = read_json(weights / "manifest.json")
    job = queries.last_job(world.ledger.connection, deployment.id, "cache")
    if manifest is not None:
        world.ledger.move_deployment(
            deployment, "cached", detail={"bytes": manifest.get("bytes", 0), "folder": str(weights)}
        )
        return
    seen = look(job, snapshot)
    again = (
        job is not None and job.ended_at is not None and job.created_at < deployment.since
    )  # before a person's retry
    if job is None or job.handle is None or again:
        _submit_cache(world, deployment, job)
    elif seen is not None and seen.state.ended:
        _cache_ended(world, deployment, job, seen.word or seen.state.value, cancelled=seen.state is JobState.CANCELLED)
    elif seen is not None:
        show = {"stage": "cache", "waiting": seen.reason if seen.state is JobState.QUEUED else ""}
        show |= download_progress(RunFolder(world.shared, deployment.id).cache)
        if show != deployment.progress:
            world.ledger.amend("deployments", deployment.id, progress=show)


def _submit_cache(world: World, deployment: Deployment, job: Job | None) -> None:
    attempt = 1 if job is None else job.attempt + (job.handle is not None)
    if deployment.plan.quantizing is None:
        _submit(world, deployment, "cache", attempt, lambda: world.recipes.cache(deployment, attempt))
    else:
        chats = world.exams.chats()
        _submit(world, deployment, "cache", attempt, lambda: world.recipes.quantize(deployment, attempt, chats))


def _submit(world: World, deployment: Deployment, purpose: str, attempt: int, script: Callable) -> None:
    """Submit a job of the deployment; a refusal breaks it with Slurm's own sentence."""
    written = script()
    try:
        submit_once(world, written, deployment.id, purpose, attempt, None)
    except SubmissionRefused as refusal:
        world.ledger.job_seen(written.key, "REFUSED", ended=True)
        _break(world, deployment, {"sentence": str(refusal), "next_step": refusal.next_step})


def _cache_ended(world: World, deployment: Deployment, job: Job, word: str, cancelled: bool) -> None:
    failure = read_json(RunFolder(world.shared, deployment.id).cache / "failure.json")
    what = "quantize" if deployment.plan.quantizing else "download"
    why = {"sentence": f"The {what} job {job.handle} ended as {word} without a reason.", "retryable": True}
    if failure and failure.get("job") == job.handle:
        why = {key: failure.get(key) for key in ("sentence", "next_step", "retryable", "tail")}
    elif cancelled:
        why = {"sentence": f"Somebody cancelled the {what} job {job.handle}.", "retryable": False}
    tried = sum(1 for j in queries.jobs_of(world.ledger.connection, deployment.id)
                if j.purpose == "cache" and j.created_at >= deployment.since)  # fmt: skip
    if why["retryable"] and tried < world.limits.cache_attempts:
        world.ledger.note("note.cache_again", deployment_id=deployment.id, detail=why)
        _submit_cache(world, deployment, job)
    else:
        _break(world, deployment, why)


def _starting(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    up = next((s for s in alive if s.state == servers.UP), None)
    if up is not None:
        world.ledger.move_deployment(deployment, "healthy", detail={"url": up.url, "engine": up.engine})


def _listing(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    if any(s.state == servers.UP for s in alive):
        if world.registry.serves(queries.generation(world.ledger.connection)):
            world.ledger.move_deployment(deployment, "listed", exam=deployment.exam + 1)
        elif deployment.progress.get("stage") != "list":
            world.ledger.amend(
                "deployments", deployment.id, progress={"stage": "list", "note": "waiting for the gateway"}
            )


def _testing(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    run = deployment.exam
    progress = world.exams.progress(deployment, run)
    attempts = world.limits.exam_attempts + bool(progress.more)
    keys = [job_key(deployment.id, "exam", run, n + 1) for n in range(attempts)]
    jobs = [job for key in keys if (job := queries.job(world.ledger.connection, key)) is not None]
    job = jobs[-1] if jobs else None
    if job is None or job.handle is None:
        attempt = len(jobs) or 1
        _submit(world, deployment, "exam", attempt, lambda: world.exams.prepare(deployment, run, attempt))
        return
    seen = look(job, snapshot)
    if seen is None or seen.state is JobState.UNKNOWN:
        return
    if not seen.state.ended:
        show = {"stage": "exam", "done": progress.done, "total": progress.total, "shards_done": progress.shards_done}
        show |= {"note": progress.more} if progress.more else {}
        if show != deployment.progress:
            world.ledger.amend("deployments", deployment.id, progress=show)
        return
    unfinished = progress.shards_done < progress.shards and seen.state is not JobState.CANCELLED
    if unfinished and len(jobs) < attempts:
        attempt = len(jobs) + 1
        if progress.more and not progress.more_begun:
            world.ledger.note("note.exam_more", deployment_id=deployment.id, detail={"because": progress.more})
        else:
            detail = {"shards_done": progress.shards_done}
            world.ledger.note("note.exam_again", deployment_id=deployment.id, detail=detail)
        _submit(world, deployment, "exam", attempt, lambda: world.exams.prepare(deployment, run, attempt))
        return
    _conclude(world, deployment)


def _conclude(world: World, deployment: Deployment) -> None:
    verdict = world.exams.conclude(deployment, deployment.exam)
    if not (verdict.drawing or verdict.more):  # else it comes again, and nothing but this deployment waits
        _decide(world, deployment, verdict)


def _held(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    """People's grades may have decided what the Gauntlet could not."""
    verdict = world.exams.regraded(deployment, deployment.exam)
    if verdict is not None and verdict.outcome != "INCONCLUSIVE":
        _decide(world, deployment, verdict)
    else:
        step_rollover(world, deployment, alive)


def _decide(world: World, deployment: Deployment, verdict: Verdict) -> None:
    event = {"PASS": "passed", "FAIL": "failed", "INCONCLUSIVE": "undecided"}[verdict.outcome]
    record = {"run": deployment.exam, "outcome": verdict.outcome, "reasons": list(verdict.reasons),
              "report": str(verdict.report or ""), "picture": str(verdict.picture or ""),
              "summary": verdict.summary or {}}  # fmt: skip
    reason = "" if event == "passed" else next(iter(verdict.reasons), "")
    world.ledger.move_deployment(deployment, event, verdict=record, reason=reason, detail=record)


def _serving(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    step_rollover(world, deployment, alive)


def _draining(world: World, deployment: Deployment, alive: list[Server], snapshot: Snapshot) -> None:
    """First the servers are told to go, then we wait until the last job is over."""
    for server in alive:
        world.ledger.move_server(server, "drain")
    waiting = [s for s in queries.servers_of(world.ledger.connection, deployment.id) if s.state != servers.GONE]
    for job in queries.jobs_of(world.ledger.connection, deployment.id):
        if job.ended_at is None and job.purpose != "serve":
            cancel(world, job)
            waiting.append(job) if job.handle else None
    if not waiting:
        world.ledger.move_deployment(deployment, "drained", reason=deployment.reason)


STEPS: dict[str, Callable[[World, Deployment, list[Server], Snapshot], None]] = {
    deployments.CACHING: _caching,
    deployments.STARTING: _starting,
    deployments.LISTING: _listing,
    deployments.TESTING: _testing,
    deployments.DRAINING: _draining,
    **dict.fromkeys(ROLLS, _serving),
    deployments.HELD: _held,
}
"""The states in which something is to do. BROKEN waits for a person; HELD waits for people's grades or word;
HELD, PREVIEW and STABLE keep a server."""
