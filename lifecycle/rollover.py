"""Rollover: a server whose time limit comes near gets a successor, and goes once the successor serves.

Two servers live for a while, and only for that: as soon as a younger one is UP and every gateway worker routes to it,
the elder drains. A successor that fails is tried again, but spread over the time that is left, and it never breaks the
deployment: the elder still answers.
"""

from collections.abc import Sequence

from lifecycle import deployments, queries, servers
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Server
from lifecycle.world import Limits, World

ROLLS = frozenset({deployments.HELD, deployments.PREVIEW, deployments.STABLE})
"""States that last longer than a job may."""

RELIEVED = ""
"""The reason of a server that was succeeded: none, so that it doesn't count among those that failed."""

LOADS = 2
"""A successor is wanted this many load times before the end, at least: it may have to walk down the ladder."""


def step_rollover(world: World, deployment: Deployment, alive: Sequence[Server]) -> None:
    """At most one arrow: want a successor, or send an elder away."""
    if max(deployment.replicas, deployment.replicas_most) > 1:
        _one_of_several(world, deployment, alive)
        return
    chief = max((s for s in alive if s.state == servers.UP), key=lambda s: s.n, default=None)
    if chief is None:
        return
    if elders := [s for s in alive if s.n < chief.n]:
        if world.registry.serves(queries.generation(world.ledger.connection)):
            world.ledger.move_server(elders[0], "drain", reason=RELIEVED, detail={"successor": chief.n})
        return
    successors = [s for s in queries.servers_of(world.ledger.connection, deployment.id) if s.n > chief.n]
    if due(chief, successors, deployment.plan, world.limits, world.clock()):
        left_s = round(ends_at(chief, deployment.plan) - world.clock())
        detail = {"server": chief.n, "left_s": left_s, "failed": len(successors)}
        world.ledger.note("note.rollover", deployment_id=deployment.id, server_id=chief.id, detail=detail)
        world.ledger.want_server(deployment)


def _one_of_several(world: World, deployment: Deployment, alive: Sequence[Server]) -> None:
    """The same for a deployment with several servers: a successor for each, never fewer that answer."""
    plan, now = deployment.plan, world.clock()
    ups = sorted((s for s in alive if s.state == servers.UP), key=lambda s: s.n)
    near = [s for s in ups if now >= ends_at(s, plan) - margin(plan, world.limits)]
    if not near:
        return
    elder, coming = near[0], len(alive) - len(ups)
    if len(ups) > max(1, deployment.replicas) and len(near) < len(ups):
        if world.registry.serves(queries.generation(world.ledger.connection)):
            world.ledger.move_server(elder, "drain", reason=RELIEVED, detail={"successor": ups[-1].n})
        return
    began = ends_at(elder, plan) - margin(plan, world.limits)
    every = queries.servers_of(world.ledger.connection, deployment.id)
    failed = [s for s in every if s.created_at >= began and s.state == servers.GONE]
    if coming < len(near) and due(elder, failed, plan, world.limits, now):
        left_s = round(ends_at(elder, plan) - now)
        detail = {"server": elder.n, "left_s": left_s, "failed": len(failed)}
        world.ledger.note("note.rollover", deployment_id=deployment.id, server_id=elder.id, detail=detail)
        world.ledger.want_server(deployment)


def ends_at(server: Server, plan: Plan) -> float:
    return (server.started_at or server.since) + plan.walltime_s


def margin(plan: Plan, limits: Limits) -> float:
    """How long before its end a server wants a successor, in seconds."""
    return min(max(limits.rollover_s, LOADS * (plan.expected_load_s or 0)), plan.walltime_s * limits.rollover_share)


def due(server: Server, successors: Sequence[Server], plan: Plan, limits: Limits, now: float) -> bool:
    """Is it time for a (further) successor of `server`? Each that failed moves the next on by a share of the margin."""
    if any(s.state not in (servers.GONE, servers.DRAINING) for s in successors):
        return False
    before = margin(plan, limits)
    began = ends_at(server, plan) - before
    tried = len(successors)
    return tried < limits.server_attempts and now >= began + before * tried / limits.server_attempts
