"""Steps of a victim: what really happened to a research job that a server was expected to evict."""

from collections.abc import Iterable

from lifecycle import deployments, queries, servers, victims
from lifecycle.jobs import JobState, Sighting, Snapshot
from lifecycle.records import Deployment, Server, VictimRow
from lifecycle.world import World

SPARED_AFTER_S = 30
"""A victim still running this long after the server got its nodes was not needed."""

GIVEN_UP = (deployments.BROKEN, deployments.DRAINING, deployments.RETIRED)


def warned_until(server: Server, expected: Iterable[VictimRow], warn_s: float) -> float:
    """When what preempts these jobs may be submitted: each owner has had `warn_s` seconds by then.

    Never later than twice that after the server was wanted, or a busy queue with new names each minute would put it
    off for ever.
    """
    told = max((victim.since for victim in expected), default=None)
    return 0.0 if told is None else min(told + warn_s, server.created_at + 2 * warn_s)


def step_victim(world: World, deployment: Deployment, victim: VictimRow, snapshot: Snapshot) -> None:
    """Take one step of one victim."""
    seen = snapshot.look(victim.handle)
    if seen.state is JobState.UNKNOWN:
        return
    server = queries.server(world.ledger.connection, victim.server_id) if victim.server_id is not None else None
    event = decide(victim, seen, deployment.state, server, world.clock())
    if event is not None:
        changes = {"restarts": seen.restarts} if seen.restarts > victim.restarts else {}
        detail = {"word": seen.word, "expected_start": seen.expected_start, "ended": seen.state.ended}
        world.ledger.move_victim(victim, event, detail=detail, **changes)


def decide(victim: VictimRow, seen: Sighting, deployment_state: str, server: Server | None, now: float) -> str | None:
    """The arrow to take, or None. `server` is the one that wanted this job's nodes, once there is one."""
    if victim.state != victims.EXPECTED and seen.word == "COMPLETING":
        return None  # its processes are still being ended; it is neither waiting nor running again
    if victim.state != victims.EXPECTED:
        if seen.state is JobState.RUNNING or seen.state is JobState.SUCCEEDED:
            return "resumed"
        return "cancelled" if seen.state.ended else None
    if seen.state is JobState.QUEUED or seen.restarts > victim.restarts:
        return "requeued"
    if seen.state is JobState.SUSPENDED:
        return "suspended"
    if seen.word.startswith("PREEMPTED"):
        return "cancelled"
    waits = server is not None and server.state in (servers.WANTED, servers.QUEUED)
    if seen.state.ended or (server is None and deployment_state in GIVEN_UP):
        return "spared"
    began = server.started_at if server is not None and not waits else None
    gone = server is not None and server.state == servers.GONE
    return "spared" if gone or (began is not None and now - began > SPARED_AFTER_S) else None
