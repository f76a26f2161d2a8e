"""The end of a deployment that was approved for some time (`--for 12h`): warned of once, then it is retired.

The time runs from its first `passed`, not from the approval: a download that took a day costs the users nothing. It
stands in the events alone, so a kill between any two steps forgets nothing and retires nothing twice.
"""

import sqlite3

from lifecycle import deployments
from lifecycle.records import Deployment
from lifecycle.world import World

TIMED = frozenset({deployments.PREVIEW, deployments.STABLE})
"""States in which the time runs out."""

NOTICE_S = 3600
NOTICE_SHARE = 0.25  # of the whole time: who asked for half an hour is not warned at once


def ends_at(db: sqlite3.Connection, deployment: Deployment) -> float | None:
    """When its time is over; None: it has no end, or its time has not begun."""
    if deployment.plan.lasts_s is None:
        return None
    query = (
        "SELECT min(CASE kind WHEN 'deployment.passed' THEN at END),"
        " coalesce(sum(CASE kind WHEN 'note.extended' THEN json_extract(detail, '$.seconds') END), 0)"
        " FROM events WHERE deployment_id = ? AND kind IN ('deployment.passed', 'note.extended')"
    )
    began, more = db.execute(query, (deployment.id,)).fetchone()
    return None if began is None else began + deployment.plan.lasts_s + more


def step_ending(world: World, deployment: Deployment) -> bool:
    """At most one step: say that the end is near, or retire it. True: it was retired."""
    end = ends_at(world.ledger.connection, deployment)
    if end is None or deployment.plan.lasts_s is None:
        return False
    now = world.clock()
    if now >= end:
        why = {"because": "Its time is over."}
        return world.ledger.move_deployment(deployment, "cancelled", detail=why, reason=why["because"])
    if now >= end - min(NOTICE_S, deployment.plan.lasts_s * NOTICE_SHARE) and not _said(world, deployment, end):
        detail = {"ends_at": end, "left_s": round(end - now)}
        world.ledger.note("note.ending", deployment_id=deployment.id, release_id=deployment.release_id, detail=detail)
    return False


def _said(world: World, deployment: Deployment, end: float) -> bool:
    query = (
        "SELECT 1 FROM events WHERE deployment_id = ? AND kind = 'note.ending'"
        " AND json_extract(detail, '$.ends_at') = ?"
    )
    return world.ledger.connection.execute(query, (deployment.id, end)).fetchone() is not None
