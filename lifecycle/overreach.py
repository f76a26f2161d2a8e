"""Jobs that were preempted while one of our servers took its nodes, though no forecast had named them.

Slurm may take more than it said: with a long grace time and jobs that ignore SIGTERM it was seen to kill a second pair
of jobs for a server that already ran. Their owners are told like the others, and the history counts them.
"""

from collections.abc import Collection, Iterable, Iterator

from lifecycle import queries, servers
from lifecycle.jobs import JobState, Sighting, Snapshot, Victim
from lifecycle.naming import job_key
from lifecycle.records import Deployment, Server
from lifecycle.world import World

AFTER_S = 240.0
"""So long after a server got its nodes a preemption is still taken for its doing. The second pair is chosen just before
it gets them; they lose theirs after a grace (120 s are recommended), a sweep (30 s) and KillWait (30 s)."""


def step_overreach(world: World, deployment: Deployment, server: Server, snapshot: Snapshot) -> None:
    """Write down each victim that nobody foresaw, as what became of it: it waits again."""
    if (span := window(world, server)) is None:
        return
    known = {victim.handle for victim in queries.victims_of(world.ledger.connection, deployment.id)}
    ours = {job.handle for job in queries.live_jobs(world.ledger.connection) if job.handle}
    serving = {snapshot.jobs[handle].qos for handle in ours if handle in snapshot.jobs}
    for seen in unforeseen(snapshot.jobs.values(), span, known | ours, serving):
        victim = Victim(
            handle=seen.handle, name=seen.name, user=seen.user, node_count=seen.node_count, gpus=seen.gpus, ran_s=0.0,
            restarts=seen.restarts,
        )  # fmt: skip
        with world.ledger.write():
            if world.ledger.expect_victim(deployment.id, server.id, victim, foreseen=False):
                row = next(
                    v for v in queries.victims_of(world.ledger.connection, deployment.id) if v.handle == seen.handle
                )
                world.ledger.move_victim(row, "requeued", detail={"word": seen.word, "unforeseen": True})


def window(world: World, server: Server) -> tuple[float, float] | None:
    """(from, to) in which a preemption may be this server's doing; None when it is over or has not begun."""
    if server.state not in (servers.QUEUED, servers.LOADING, servers.UP):
        return None
    job = queries.job(world.ledger.connection, job_key(server.deployment_id, "serve", server.n))
    if job is None or job.submitted_at is None:
        return None
    end = server.started_at + AFTER_S if server.started_at else float("inf")
    return (job.submitted_at, end) if world.clock() <= end else None


def unforeseen(
    jobs: Iterable[Sighting], span: tuple[float, float], known: Collection[str], serving: Collection[str]
) -> Iterator[Sighting]:
    """Of everybody's jobs those that lost their GPUs within `span`: a requeued job has a new submission time and one
    restart more. What shares our QOS can't have been preempted by us, and what has no GPU was in nobody's way.
    """
    for seen in jobs:
        if seen.handle in known or not seen.gpus or seen.qos in serving or seen.word == "COMPLETING":
            continue
        if seen.state is JobState.QUEUED and seen.restarts and span[0] <= (seen.submitted_at or 0) <= span[1]:
            yield seen
