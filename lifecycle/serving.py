"""Steps of a server: one look at its job and at what it wrote, at most one arrow."""

from collections.abc import Callable

from lifecycle import queries, servers
from lifecycle import victims as fates
from lifecycle.errors import Refused, SubmissionRefused
from lifecycle.holding import held, may_go
from lifecycle.jobs import JobState, Sighting, Snapshot
from lifecycle.naming import job_key
from lifecycle.preempting import warned_until
from lifecycle.records import Deployment, Job, Server
from lifecycle.runfolder import RunFolder, read_json
from lifecycle.submission import cancel, look, submit_once
from lifecycle.world import World

REQUEUE_PAUSE_S = 300
"""So long after a requeue a pause before the start is the scheduler's own; later a person has set it."""


def step_server(world: World, deployment: Deployment, server: Server, snapshot: Snapshot) -> None:
    """Take one step of one server."""
    job = queries.job(world.ledger.connection, job_key(deployment.id, "serve", server.n))
    if server.state == servers.WANTED:
        _wanted(world, deployment, server, job)
        return
    seen = look(job, snapshot)
    if seen is None or seen.state is JobState.UNKNOWN:
        return
    if seen.state.ended:
        _ended(world, deployment, server, job, seen)
    elif server.state == servers.DRAINING:
        cancel(world, job, gently=seen.state is JobState.RUNNING)
    else:
        ALIVE[server.state](world, deployment, server, job, seen)
        if server.state == servers.QUEUED and seen.state is JobState.QUEUED and seen.word != "COMPLETING":
            _waits(world, deployment, seen, snapshot.place(seen.handle))


def _wanted(world: World, deployment: Deployment, server: Server, job: Job | None) -> None:
    if job is None and (held(world, server) or _warning(world, deployment, server)):
        return
    script = world.recipes.serve(deployment, server)
    try:
        if job is None:
            forecast = world.scheduler.forecast(script)
            if not may_go(world, deployment, server, forecast):
                return
            expect_victims(world, deployment, server, forecast.victims)
            if _warning(world, deployment, server):  # the forecast has named somebody who was not told yet
                return
        submit_once(world, script, deployment.id, "serve", server.n, server.id)
    except (SubmissionRefused, Refused) as refusal:
        world.ledger.job_seen(script.key, "REFUSED", ended=True)
        world.ledger.move_server(
            server,
            "lost",
            ended_at=world.clock(),
            reason=refusal.advice,
            detail=_why(str(refusal), refusal.next_step, False),
        )
        return
    world.ledger.move_server(server, "submitted", reason="", held_until=None)


def _warning(world: World, deployment: Deployment, server: Server) -> bool:
    """True while somebody whose job is expected to make room still has time to save it."""
    everybody = queries.victims_of(world.ledger.connection, deployment.id)
    expected = [v for v in everybody if v.state == fates.EXPECTED]
    until = warned_until(server, expected, world.limits.warn_s)
    if world.clock() >= until:
        return False
    _progress(world, deployment, {"stage": "warn", "until": until, "jobs": len(expected)})
    return True


def expect_victims(world: World, deployment: Deployment, server: Server, victims: tuple) -> None:
    """Write down whom the scheduler would evict now, so that they are told before it happens."""
    for victim in victims:
        if not world.ledger.expect_victim(deployment.id, server.id, victim):
            for known in queries.victims_of(world.ledger.connection, deployment.id):
                if known.handle == victim.handle and known.server_id is None:
                    world.ledger.amend("victims", known.id, server_id=server.id)


def _queued(world: World, deployment: Deployment, server: Server, job: Job, seen: Sighting) -> None:
    if seen.word == "COMPLETING":
        return  # its former run is still being ended: a node died, or it was preempted
    if seen.state is JobState.RUNNING:
        _running(world, server, seen)
        return
    if seen.reason == "BeginTime" and world.clock() - server.since < REQUEUE_PAUSE_S and server.started_at:
        world.scheduler.hurry(seen.handle)


def _waits(world: World, deployment: Deployment, seen: Sighting, place: tuple[int, int] | None) -> None:
    show = {"stage": "queue", "reason": seen.reason, "expected_start": seen.expected_start, "handle": seen.handle}
    _progress(world, deployment, show | ({"place": place[0], "waiting": place[1]} if place else {}))


def _running(world: World, server: Server, seen: Sighting) -> None:
    nodes = ",".join(seen.nodes)
    started = seen.started_at or world.clock()
    detail = {"nodes": nodes, "handle": seen.handle}
    world.ledger.move_server(server, "running", nodes=nodes, restarts=seen.restarts, started_at=started, detail=detail)


def _loading(world: World, deployment: Deployment, server: Server, job: Job, seen: Sighting) -> None:
    if seen.state is JobState.QUEUED:
        world.ledger.move_server(server, "requeued", detail={"handle": seen.handle, "restarts": seen.restarts})
        return
    folder = RunFolder(world.shared, deployment.id).server(server.n)
    endpoint = read_json(folder / "endpoint.json")
    if endpoint and _is_of(endpoint, seen):
        world.ledger.move_server(
            server, "ready", url=endpoint["url"], backend_model=endpoint["model"], engine=endpoint["engine"],
            detail={key: endpoint.get(key) for key in ("url", "engine", "engine_version", "rung", "why")},
        )  # fmt: skip
        world.ledger.amend("deployments", deployment.id, load_s=world.clock() - server.created_at)
        return
    beat = read_json(folder / "heartbeat.json") or {}
    show = {"stage": "load", "phase": beat.get("phase", "starting"), "progress": beat.get("progress", 0)}
    _progress(world, deployment, show | {"note": beat.get("note", ""), "rung": beat.get("rung", 0)})


def _up(world: World, deployment: Deployment, server: Server, job: Job, seen: Sighting) -> None:
    if _requeued(world, server, seen):
        return
    folder = RunFolder(world.shared, deployment.id).server(server.n)
    beat = read_json(folder / "heartbeat.json")
    if read_json(folder / "endpoint.json") is None:
        world.ledger.move_server(server, "sick", reason="It took its address back.")
    elif beat and not beat.get("healthy", True):
        world.ledger.move_server(server, "sick", reason=beat.get("note") or "Its engine does not answer.")
    elif beat and world.clock() - beat["at"] > world.limits.heartbeat_stale_s:
        world.ledger.move_server(server, "sick", reason="Its launcher has not been heard of.")


def _sick(world: World, deployment: Deployment, server: Server, job: Job, seen: Sighting) -> None:
    if _requeued(world, server, seen):
        return
    folder = RunFolder(world.shared, deployment.id).server(server.n)
    beat = read_json(folder / "heartbeat.json")
    endpoint = read_json(folder / "endpoint.json")
    fresh = beat and world.clock() - beat["at"] < world.limits.heartbeat_stale_s
    if endpoint and fresh and beat.get("healthy", True) and _is_of(endpoint, seen):
        world.ledger.move_server(server, "recovered", url=endpoint["url"])
    elif world.clock() - server.since > world.limits.sick_s:
        world.ledger.move_server(server, "drain", reason=f"{server.reason} It did not recover.")


def _requeued(world: World, server: Server, seen: Sighting) -> bool:
    if seen.state is JobState.QUEUED or seen.restarts > server.restarts:
        world.ledger.move_server(server, "requeued", detail={"handle": seen.handle, "restarts": seen.restarts})
        return True
    return False


def _ended(world: World, deployment: Deployment, server: Server, job: Job, seen: Sighting) -> None:
    """The job is over: the launcher's own words if it left any, else the scheduler's."""
    now = world.clock()
    gpu_hours = deployment.plan.gpus * (now - server.started_at) / 3600 if server.started_at else 0.0
    detail = {"handle": seen.handle, "word": seen.word, "gpu_hours": gpu_hours, "nodes": server.nodes}
    if server.state == servers.DRAINING:
        world.ledger.move_server(server, "gone", ended_at=now, detail=detail)
        return
    failure = read_json(RunFolder(world.shared, deployment.id).server(server.n) / "failure.json")
    if failure and failure.get("job") == seen.handle:
        why = _why(
            failure["sentence"], failure.get("next_step", ""), failure.get("retryable", True), failure.get("tail", "")
        )
    elif seen.state is JobState.CANCELLED:
        why = _why(f"Somebody cancelled job {seen.handle}.", "Retry when its nodes may be used again.", False)
    else:
        word = seen.word or seen.state.value
        why = _why(
            f"Job {seen.handle} ended as {word} without leaving a reason.", "Its log is in the run folder.", True
        )
    world.ledger.move_server(server, "lost", ended_at=now, reason=why["sentence"], detail=detail | why)


def _why(sentence: str, next_step: str, retryable: bool, tail: str = "") -> dict:
    return {"sentence": sentence, "next_step": next_step, "retryable": retryable, "tail": tail}


def _is_of(endpoint: dict, seen: Sighting) -> bool:
    """Was this file written by the job's present run? A requeued job keeps its id and may find its elder's file."""
    return endpoint.get("job") == seen.handle and endpoint.get("restarts", 0) == seen.restarts


def _progress(world: World, deployment: Deployment, show: dict) -> None:
    if deployment.progress != show:
        world.ledger.amend("deployments", deployment.id, progress=show)


ALIVE: dict[str, Callable[[World, Deployment, Server, Job, Sighting], None]] = {
    servers.QUEUED: _queued,
    servers.LOADING: _loading,
    servers.UP: _up,
    servers.SICK: _sick,
}
"""What a server whose job lives does in each state."""
