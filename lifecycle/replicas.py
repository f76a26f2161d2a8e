"""Steps of scaling: falling asleep, waking, one server more or fewer. Each takes at most one of them."""

from collections.abc import Sequence

from lifecycle import deployments, queries, scaling, servers, swaps
from lifecycle.demand import Demand
from lifecycle.ledger import SERVICE, Ledger
from lifecycle.records import Deployment, Server
from lifecycle.rollover import RELIEVED
from lifecycle.scaling import SLEEP, Turn
from lifecycle.world import World

SCALES = frozenset({deployments.PREVIEW, deployments.STABLE})
"""States in which it may sleep and have several servers: the Gauntlet and people's grades need exactly one, awake."""


def step_scaling(world: World, deployment: Deployment, alive: Sequence[Server]) -> bool:
    """False: it sleeps, or has just changed; nothing more is to be done in this tick."""
    if not _scales(deployment):
        return True
    demand = world.demands.of(deployment.id)
    ups = [s for s in alive if s.state == servers.UP]
    up_since = max((s.since for s in ups), default=None)
    change = scaling.turn(deployment, demand, up_since, world.rails.zone, world.clock(), world.pace)
    if change is not None and not (change.what == SLEEP and _swapped(world, deployment)):
        _turn(world, deployment, alive, change)
        return False
    if deployment.asleep_since is not None:
        for server in alive:  # wanted by a tick that was killed, or woken and told to sleep again
            world.ledger.move_server(server, "drain", reason=RELIEVED)
        return False
    if demand is not None:
        _mark(world, deployment, demand, len(ups))
    return _resize(world, deployment, alive, ups)


def put_to_sleep(ledger: Ledger, deployment: Deployment, alive: Sequence[Server], *, by: str, why: str) -> None:
    """In one transaction: the mark, its servers' end, the event."""
    with ledger.write():
        now = ledger.clock()
        show = {"stage": "sleep", "note": f"asleep: {why}"}
        ledger.amend("deployments", deployment.id, asleep_since=now, awake_since=None, busy_since=None,
                           calm_since=None, progress=show)  # fmt: skip
        for server in alive:
            ledger.move_server(server, "drain", by=by, reason=RELIEVED)
        ledger.note("note.asleep", by=by, deployment_id=deployment.id, detail={"why": why})


def wake_up(ledger: Ledger, deployment: Deployment, *, by: str, why: str) -> None:
    """The next tick wants its servers, within the guard rails."""
    with ledger.write():
        now = ledger.clock()
        show = {"stage": "sleep", "note": f"waking: {why}"}
        ledger.amend("deployments", deployment.id, asleep_since=None, awake_since=now, progress=show)
        detail = {"why": why, "load_s": deployment.load_s or deployment.plan.expected_load_s}
        ledger.note("note.woken", by=by, deployment_id=deployment.id, detail=detail)


def _scales(deployment: Deployment) -> bool:
    several = max(deployment.replicas, deployment.replicas_most) > 1
    sleeps = deployment.idle_s is not None or deployment.asleep_since is not None
    return deployment.state in SCALES and (several or sleeps)


def _swapped(world: World, deployment: Deployment) -> bool:
    """What takes another's place, or gives its own, stays awake until that is over."""
    return swaps.open_swap_of(world.ledger.connection, deployment.id) is not None


def _turn(world: World, deployment: Deployment, alive: Sequence[Server], change: Turn) -> None:
    if change.what == SLEEP:
        put_to_sleep(world.ledger, deployment, alive, by=SERVICE, why=change.why)
    else:
        wake_up(world.ledger, deployment, by=SERVICE, why=change.why)


def _mark(world: World, deployment: Deployment, demand: Demand, up: int) -> None:
    """Since when it is busy or calm: kept, so that a restart doesn't begin to count anew."""
    now, found = world.clock(), scaling.load(demand, up, world.pace)
    busy = (deployment.busy_since or now) if found == "busy" else None
    calm = (deployment.calm_since or now) if found == "calm" else None
    if (busy, calm) != (deployment.busy_since, deployment.calm_since):
        world.ledger.amend("deployments", deployment.id, busy_since=busy, calm_since=calm)


def _resize(world: World, deployment: Deployment, alive: Sequence[Server], ups: Sequence[Server]) -> bool:
    now = world.clock()
    wanted = scaling.target(deployment, len(ups), len(alive), now, world.pace)
    rail = world.rails.max_nodes
    if rail is not None:
        wanted = max(min(deployment.replicas, 1), min(wanted, rail // deployment.plan.nodes))
    if wanted > len(alive) and ups:
        if not _may_try(world, deployment, now):
            return True
        with world.ledger.write():
            world.ledger.amend("deployments", deployment.id, busy_since=None)
            world.ledger.want_server(deployment)
            detail = {"servers": len(alive) + 1, "more": True}
            world.ledger.note("note.scaled", deployment_id=deployment.id, detail=detail)
        return False
    if wanted < len(ups) and len(ups) == len(alive):
        if world.registry.serves(queries.generation(world.ledger.connection)):
            with world.ledger.write():
                world.ledger.amend("deployments", deployment.id, calm_since=None)
                world.ledger.move_server(min(ups, key=lambda s: s.n), "drain", reason=RELIEVED)
                detail = {"servers": len(ups) - 1, "more": False}
                world.ledger.note("note.scaled", deployment_id=deployment.id, detail=detail)
        return False
    return True


def _may_try(world: World, deployment: Deployment, now: float) -> bool:
    """A further server that fails breaks nothing, but it is not tried for ever."""
    since = max(deployment.since, now - world.limits.server_window_s)
    every = queries.servers_of(world.ledger.connection, deployment.id)
    failed = [s for s in every if s.ended_at and s.ended_at >= since and s.reason != RELIEVED]
    return len(failed) < world.limits.server_attempts
