"""A server that a guard rail holds back: asked again now and then, said once, let go when the rail allows it."""

from lifecycle import guards, queries
from lifecycle.jobs import Forecast
from lifecycle.records import Deployment, Server
from lifecycle.world import World


def held(world: World, server: Server) -> bool:
    """Was it told to wait, and is it not time yet to ask the scheduler again? That costs a command."""
    return server.held_until is not None and world.clock() < server.held_until


def may_go(world: World, deployment: Deployment, server: Server, forecast: Forecast) -> bool:
    """Ask every rail about what this submission would do now. Raises Refused where no waiting helps."""
    now = world.clock()
    guards.check_plan(deployment.plan, world.rails)
    preempted = queries.preemptions_since(world.ledger.connection, now - guards.DAY_S)
    stay = guards.stay(forecast, preempted, world.rails, now)
    if stay is None:
        return True
    with world.ledger.write():
        world.ledger.amend(
            "servers", server.id, held_until=min(stay.until, now + guards.LOOK_AGAIN_S), reason=stay.sentence
        )
        show = {"stage": "guard", "until": stay.until, "note": stay.sentence}
        if deployment.progress != show:
            world.ledger.amend("deployments", deployment.id, progress=show)
        if server.reason != stay.sentence:
            detail = {"sentence": stay.sentence, "until": stay.until}
            world.ledger.note("note.guarded", deployment_id=deployment.id, server_id=server.id, detail=detail)
    return False
