"""Steps of a swap, and what people may ask of one. The gateway's weights move with the state, in one transaction.

Nothing here asks the scheduler: a canary that is worse gives its requests back even while Slurm is silent.
"""

import json
from collections.abc import Callable, Sequence

from lifecycle import deployments, queries, servers, swaps
from lifecycle.errors import Refused, WrongMove
from lifecycle.ledger import Ledger
from lifecycle.plans import Plan
from lifecycle.records import Deployment
from lifecycle.swaps import Swap, worse
from lifecycle.world import World

SERVING = (deployments.PREVIEW, deployments.STABLE)
OVER = (deployments.DRAINING, deployments.RETIRED)

AT_ONCE = (100,)
"""The steps of a return to what has served before."""


# What people ask for --------------------------------------------------------------------------------------------


def refuse_swap(ledger: Ledger, elder: Deployment) -> None:
    """Refused or WrongMove when this deployment can't get a successor now, with what to do instead."""
    if elder.state not in SERVING:
        raise WrongMove(
            f"{elder.id} is {elder.state}; only what is in preview or stable can be swapped.",
            "`dayzero status` shows what is.",
        )
    if (swap := swaps.open_swap_of(ledger.connection, elder.id)) is not None:
        raise Refused(
            f"{elder.id} is part of a swap already: {swap.successor} takes the place of {swap.elder}.",
            f"Wait for its end, or take it back: `dayzero rollback {elder.id}`.",
        )


def refuse_crowd(elder: Deployment, plan: Plan, max_nodes: int) -> None:
    """Both run beside each other for a while. Refused when the guard rails have no room for that."""
    together = elder.plan.nodes + plan.nodes
    if together > max_nodes:
        raise Refused(
            f"There is no room beside {elder.id}: both would take {together} nodes, {elder.plan.nodes} and "
            f"{plan.nodes}, and cluster.guards.max_nodes is {max_nodes}.",
            "Ask for a smaller successor, have the rail moved, or retire the elder first and deploy anew.",
        )


def begin(ledger: Ledger, elder: Deployment, successor: str, steps: Sequence[int], *, by: str) -> None:
    """From now on `successor` is on its way to the place of `elder`. Refused when the elder can't be swapped."""
    with ledger.write() as db:
        refuse_swap(ledger, queries.deployment(db, elder.id))
        _open(ledger, elder, successor, steps, by)


def _open(ledger: Ledger, elder: Deployment, successor: str, steps: Sequence[int], by: str) -> None:
    with ledger.write() as db:
        inherit = "UPDATE deployments SET weight = 0, replaces = ?, replicas = ?, replicas_most = ? WHERE id = ?"
        db.execute(inherit, (elder.id, elder.replicas, elder.replicas_most, successor))
        db.execute("UPDATE deployments SET weight = 1 WHERE id = ?", (elder.id,))
        db.execute(
            "INSERT INTO swaps (successor, elder, state, since, steps, by) VALUES (?, ?, ?, ?, ?, ?)",
            (successor, elder.id, swaps.COMING, ledger.clock(), json.dumps(list(steps)), by),
        )
        release = queries.deployment(db, successor).release_id
        ledger.note(
            "swap.wanted", by=by, release_id=release, deployment_id=successor, new=swaps.COMING,
            detail={"elder": elder.id, "steps": list(steps)},
        )  # fmt: skip


def swap_for(ledger: Ledger, elder: Deployment, plan: Plan, steps: Sequence[int], *, by: str) -> str:
    """A deployment of `plan`, of the elder's own release, that is to take its place; its id."""
    with ledger.write() as db:
        refuse_swap(ledger, queries.deployment(db, elder.id))
        successor = ledger.succeed(elder, plan, by=by)
        _open(ledger, elder, successor, steps, by)
    return successor


def resume(ledger: Ledger, name: str, *, by: str) -> str:
    """A person's word on a canary that was halted: once more, from the first step."""
    deployment = queries.named(ledger.connection, name)
    swap = swaps.open_swap_of(ledger.connection, deployment.id)
    if swap is None or swap.state != swaps.HALTED:
        raise Refused(f"No swap of {deployment.id} is halted.", f"`dayzero swap {deployment.id}` begins one.")
    if queries.deployment(ledger.connection, swap.successor).state not in SERVING:
        raise Refused(f"{swap.successor} does not serve.", f"`dayzero retry {swap.successor}` first.")
    if not ledger.move_swap(swap, "resumed", by=by, step=0, share=swap.steps[0] / 100):
        return f"Somebody else was faster: see `dayzero status {swap.successor}`."
    return f"{swap.successor} gets {swap.steps[0]} % of the requests again."


def rollback(ledger: Ledger, name: str, *, by: str, because: str = "") -> str:
    """Back to the elder: at once while it is kept, else by deploying its old plan again."""
    deployment = queries.named(ledger.connection, name)
    swap = swaps.last_swap_of(ledger.connection, deployment.id)
    if swap is None:
        raise Refused(f"{deployment.id} has replaced nothing.", f"`dayzero history {deployment.id}` shows what it did.")
    if swap.state == swaps.RETURNING or swap.state in (swaps.BACK, swaps.LOST):
        raise Refused(f"{swap.elder} has its place back already.", f"`dayzero status {swap.elder}` shows it.")
    if swap.state == swaps.DONE:
        return _redeploy(ledger, swap, by)
    detail = {"because": because} if because else None
    if not ledger.move_swap(swap, "rolled_back", by=by, detail=detail, share=0.0):
        return f"Somebody else was faster: see `dayzero status {swap.successor}`."
    return f"{swap.elder} has all requests again; {swap.successor} drains."


def _redeploy(ledger: Ledger, swap: Swap, by: str) -> str:
    with ledger.write() as db:
        old, present = queries.deployment(db, swap.elder), queries.deployment(db, swap.successor)
        if present.state not in SERVING:
            raise Refused(
                f"{present.id} is {present.state}, and {old.id} is {old.state}: nothing serves that could be replaced.",
                f"`dayzero deploy {old.model}@{old.revision}` starts anew.",
            )
        refuse_swap(ledger, present)
        again = ledger.succeed(present, old.plan, by=by)
        _open(ledger, present, again, AT_ONCE, by)
    return (
        f"{old.id} is {old.state}: its plan is deployed again as {again}, and takes the place of {present.id} "
        "as soon as it has passed."
    )


# What happens by itself -----------------------------------------------------------------------------------------


def step_swap(world: World, swap: Swap) -> None:
    """Take at most one arrow of one swap."""
    db = world.ledger.connection
    elder, successor = queries.deployment(db, swap.elder), queries.deployment(db, swap.successor)
    if elder.state in OVER:
        _alone(world, swap, successor)
    elif successor.state in OVER and swap.state != swaps.RETURNING:
        why = successor.reason or f"{successor.id} is {successor.state}."
        world.ledger.move_swap(swap, "lost", share=0.0, detail={"sentence": why})
    else:
        STEPS[swap.state](world, swap, elder, successor)


def _alone(world: World, swap: Swap, successor: Deployment) -> None:
    """The elder has ended: what it was called stays callable."""
    with world.ledger.write():
        _take_names(world.ledger, swap)
        world.ledger.move_swap(swap, "alone", share=1.0, detail={"sentence": f"{swap.elder} has ended."})


def _coming(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    if successor.state not in SERVING or not _up(world, successor):
        return
    with world.ledger.write():
        _take_names(world.ledger, swap)
        world.ledger.move_swap(swap, "began", step=0, share=swap.steps[0] / 100)


def _take_names(ledger: Ledger, swap: Swap) -> None:
    with ledger.write() as db:
        elder, successor = queries.deployment(db, swap.elder), queries.deployment(db, swap.successor)
        names = [name for name in dict.fromkeys((elder.model, *elder.aliases)) if name != successor.model]
        ledger.amend("deployments", successor.id, aliases=names)


def _canary(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    if successor.state not in SERVING:
        _halt(world, swap, f"{successor.id} is {successor.state}. {successor.reason}")
        return
    if not _up(world, successor):
        return  # the gateway leads its share to the elder meanwhile
    seen = world.registry.quality([elder.id, successor.id], swap.since)
    if why := worse(seen[elder.id], seen[successor.id], world.swapping):
        _halt(world, swap, why)
        return
    if world.clock() < swap.since + world.swapping.step_s or not _taken_over(world):
        return
    judged = {"requests": seen[successor.id].requests, "failed": seen[successor.id].failed}
    if swap.step + 1 < len(swap.steps):
        share = swap.steps[swap.step + 1] / 100
        world.ledger.move_swap(swap, "stepped", step=swap.step + 1, share=share, detail=judged)
    else:
        keep = {"keep_s": world.swapping.keep_s}
        world.ledger.move_swap(swap, "took_over", share=1.0, detail=judged | keep)


def _halt(world: World, swap: Swap, why: str) -> None:
    before = {"sentence": why.strip(), "before": swap.share}
    world.ledger.move_swap(swap, "halted", step=0, share=0.0, detail=before)


def _halted(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    """Waits for a person: resume, or rollback."""


def _taken(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    if successor.state not in SERVING:
        _halt(world, swap, f"{successor.id} is {successor.state}. {successor.reason}")
    elif world.clock() >= swap.since + world.swapping.keep_s and _up(world, successor) and _taken_over(world):
        _finish(world, swap, elder, successor)


def _finish(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    """The elder's tag goes over with its names; it drains, which is what gives its GPUs back."""
    with world.ledger.write():
        if not world.ledger.move_swap(swap, "finished", share=1.0):
            return
        world.ledger.amend("deployments", successor.id, idle_s=elder.idle_s, awake_hours=elder.awake_hours)
        if elder.state == deployments.STABLE and successor.state == deployments.PREVIEW:
            world.ledger.move_deployment(successor, "promoted", detail={"because": f"It replaces {elder.id}."})
        if elder.state in SERVING:
            world.ledger.move_deployment(elder, "superseded", detail={"successor": successor.id})
        elif elder.state not in OVER:
            world.ledger.move_deployment(elder, "cancelled", detail={"because": f"{successor.id} replaces it."})


def _returning(world: World, swap: Swap, elder: Deployment, successor: Deployment) -> None:
    """The successor goes once no gateway worker leads requests to it any more."""
    if not _taken_over(world):
        return
    with world.ledger.write():
        if world.ledger.move_swap(swap, "returned", share=0.0) and successor.state not in OVER:
            because = f"{elder.id} has its place back."
            world.ledger.move_deployment(successor, "cancelled", reason=because, detail={"because": because})


def _up(world: World, deployment: Deployment) -> bool:
    found = queries.servers_of(world.ledger.connection, deployment.id)
    return any(server.state == servers.UP for server in found)


def _taken_over(world: World) -> bool:
    return world.registry.serves(queries.generation(world.ledger.connection))


STEPS: dict[str, Callable[[World, Swap, Deployment, Deployment], None]] = {
    swaps.COMING: _coming,
    swaps.CANARY: _canary,
    swaps.HALTED: _halted,
    swaps.TAKEN: _taken,
    swaps.RETURNING: _returning,
}
