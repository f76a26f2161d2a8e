"""A deployment's overlay is built before its first server, and again when somebody deleted it."""

from lifecycle import images
from lifecycle.errors import Refused
from lifecycle.imagefolder import NO_IMAGE, overlay_id, read_image
from lifecycle.records import Deployment
from lifecycle.world import World


def ready(world: World, deployment: Deployment) -> bool:
    """True when a server may start. Raises Refused with the builder's words when it can't be built."""
    plan = deployment.plan
    if not plan.overlay:
        return True
    name = overlay_id(plan.image, plan.overlay)
    if read_image(world.shared, name) is not None:
        return True
    row = images.find(world.ledger.connection, name)
    if row is not None and row.state == images.FAILED and row.since >= deployment.since:
        raise Refused(f"Its overlay can't be built: {row.reason}", row.next_step or "Retry, or abandon it.")
    if row is not None and row.state in (images.FAILED, images.READY):
        images.forget(world.ledger, row)
        row = None
    if row is None:
        images.want(world.ledger, name, f"{plan.image or NO_IMAGE} {plan.overlay}", "overlay", by=deployment.created_by)
    show = {"stage": "image", "note": f"waiting for its overlay: {plan.overlay}"}
    if deployment.progress != show:
        world.ledger.amend("deployments", deployment.id, progress=show)
    return False
