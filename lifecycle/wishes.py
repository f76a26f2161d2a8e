"""What people may ask of a deployment's size and sleep, the same from Slack and from the command line."""

from dataclasses import dataclass

from lifecycle import hours, queries, servers
from lifecycle.errors import Refused, WrongMove
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment
from lifecycle.replicas import SCALES, put_to_sleep, wake_up

MOST = 64


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What was asked for; None: as it was. `idle_s` 0: it never sleeps by itself. `hours` "": by requests alone."""

    replicas: tuple[int, int] | None = None  # least, most
    idle_s: float | None = None
    hours: str | None = None
    wake: bool = False
    sleep: bool = False


def scale(ledger: Ledger, name: str, asked: Scale, *, max_nodes: int, by: str) -> str:
    """Refused or WrongMove with the next step; else one sentence on what holds from now on."""
    deployment = queries.named(ledger.connection, name)
    changes = _changes(deployment, asked, max_nodes)
    if (asked.wake or asked.sleep) and deployment.state not in SCALES:
        raise WrongMove(f"{deployment.id} is {deployment.state}; only what is in preview or stable sleeps and wakes.")
    with ledger.write() as db:
        if changes:
            ledger.amend("deployments", deployment.id, **changes)
            ledger.note("note.resized", by=by, deployment_id=deployment.id, detail=changes)
        now = queries.deployment(db, deployment.id)
        if asked.wake and now.asleep_since is not None:
            wake_up(ledger, now, by=by, why=f"{by} wants it")
        elif asked.sleep and now.asleep_since is None:
            alive = [s for s in queries.servers_of(db, now.id) if s.state in servers.ALIVE]
            put_to_sleep(ledger, now, alive, by=by, why=f"{by} wants it")
        return said(queries.deployment(db, deployment.id))


def said(deployment: Deployment) -> str:
    """How it is scaled, in one sentence."""
    least, most = deployment.replicas, max(deployment.replicas, deployment.replicas_most)
    parts = [f"{least} server{'s' if least > 1 else ''}" if least == most else f"{least} to {most} servers, by load"]
    if deployment.idle_s is not None:
        parts.append(f"none after {deployment.idle_s / 60:g} minutes without a request")
    if deployment.awake_hours:
        parts.append(f"awake at {deployment.awake_hours}")
    if deployment.asleep_since is not None:
        parts.append("asleep now")
    return f"{deployment.id} has {', '.join(parts)}."


def _changes(deployment: Deployment, asked: Scale, max_nodes: int) -> dict[str, object]:
    changes: dict[str, object] = {}
    if asked.replicas is not None:
        least, most = asked.replicas
        if not 1 <= least <= most <= MOST:
            raise Refused(f"{least}-{most} is no number of servers.", f"Say 2, or 1-4; at most {MOST}.")
        together = most * deployment.plan.nodes
        if together > max_nodes:
            raise Refused(
                f"{most} servers of {deployment.id} take {together} nodes; cluster.guards.max_nodes is {max_nodes}.",
                "Ask for fewer, or have the rail moved.",
            )
        changes |= {"replicas": least, "replicas_most": most, "busy_since": None, "calm_since": None}
    if asked.idle_s is not None:
        changes["idle_s"] = asked.idle_s or None
    if asked.hours is not None:
        changes["awake_hours"] = _checked(asked.hours)
    return changes


def _checked(text: str) -> str:
    try:
        return ", ".join(hours.read(part).text for part in text.split(",") if part.strip())
    except ValueError as error:
        raise Refused(f"{error}.") from None
