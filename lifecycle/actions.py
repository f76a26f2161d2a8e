"""What people may ask for, the same from Slack and from the command line. Each returns one sentence for the person.

Raises NotFound, WrongMove or Refused. Losing a race to somebody else is answered kindly, not as an error.
"""

import time

from lifecycle import deployments, ending, queries, releases
from lifecycle.errors import Refused, WrongMove
from lifecycle.ledger import Ledger
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Release


def approve(ledger: Ledger, release_id: int, digest: str, *, by: str) -> tuple[str | None, str]:
    """Approve the plan with this digest. (deployment id or None, sentence); a plan out of date is Refused."""
    release = queries.release(ledger.connection, release_id)
    if release.state == releases.APPROVED:
        return None, _approved_already(ledger, release)
    if release.plan is None:
        raise Refused(f"{release.repo} has no plan: {release.refusal or 'it has not been planned yet'}")
    if digest and release.plan.digest != digest:
        raise Refused("The plan has changed since you saw it.", "Look at the new card and click again.")
    made = ledger.approve(release, release.plan, by=by)
    if made is None:
        return None, _approved_already(ledger, queries.release(ledger.connection, release_id))
    return made, f"Approved: {release.repo} is on its way as {made}."


def _approved_already(ledger: Ledger, release: Release) -> str:
    for event in ledger.connection.execute(
        "SELECT by FROM events WHERE release_id = ? AND kind = 'release.approved' ORDER BY id DESC LIMIT 1",
        (release.id,),
    ):
        return f"{event['by']} was faster: {release.repo} is already approved."
    return f"{release.repo} is {release.state} already."


def decide(ledger: Ledger, release_id: int, event: str, *, by: str, wake_at: float | None = None) -> str:
    """`skipped`, `snoozed` (with `wake_at`) or `reopened`."""
    release = queries.release(ledger.connection, release_id)
    if not ledger.move_release(release, event, by=by, wake_at=wake_at):
        return f"Somebody else decided about {release.repo} just now."
    return f"{release.repo} is {event}."


def promote(ledger: Ledger, name: str, tag: str, *, by: str, because: str = "") -> str:
    """To `stable` from preview, or to `preview` by a person's word when the verdict was left open (HELD)."""
    deployment = queries.named(ledger.connection, name)
    if tag == deployments.STABLE_TAG:
        event = "promoted"
    elif tag == deployments.PREVIEW_TAG:
        event = "demoted" if deployment.state == deployments.STABLE else "passed"
    else:
        raise Refused(f"There is no tag {tag!r}.", "Say preview or stable.")
    if event == "passed" and deployment.state != deployments.HELD:
        raise WrongMove(f"{deployment.id} is {deployment.state}; only a HELD one is promoted to preview by hand.")
    return _move(ledger, deployment, event, by, because, f"{deployment.id} is now in {tag}.")


def extend(ledger: Ledger, name: str, hours: float, *, by: str, because: str = "") -> str:
    """Serve `hours` longer than it would have."""
    with ledger.write() as db:
        deployment = queries.named(db, name)
        end = ending.ends_at(db, deployment)
        if deployment.plan.lasts_s is None:
            raise Refused(f"{deployment.id} has no end: it serves until somebody retires it.")
        if deployment.state in (deployments.DRAINING, deployments.RETIRED):
            again = f"`dayzero deploy {deployment.model}` starts anew."
            raise WrongMove(f"{deployment.id} is {deployment.state}.", again)
        if end is None:
            raise Refused(f"The time of {deployment.id} begins when it is in preview.", "Extend it then.")
        until = end + hours * 3600
        detail = {"seconds": hours * 3600, "ends_at": until, "because": because}
        about = {"release_id": deployment.release_id, "deployment_id": deployment.id}
        ledger.note("note.extended", by=by, detail=detail, **about)
    return f"{deployment.id} serves {hours:g} hours longer, until {time.strftime('%A %H:%M', time.localtime(until))}."


def retire(ledger: Ledger, name: str, *, by: str, because: str = "") -> str:
    """Give its GPUs back; drains first."""
    deployment = queries.named(ledger.connection, name)
    return _move(ledger, deployment, "cancelled", by, because or f"Retired by {by}.", f"{deployment.id} is draining.")


def fail(ledger: Ledger, name: str, *, by: str, because: str = "") -> str:
    """A person's word on a HELD deployment: not good enough."""
    deployment = queries.named(ledger.connection, name)
    return _move(ledger, deployment, "failed", by, because or f"Failed by {by}.", f"{deployment.id} is draining.")


def retry(ledger: Ledger, name: str, *, by: str, because: str = "", plan: Plan | None = None) -> str:
    """Back to the state it broke in, or once more through the Gauntlet from HELD. A test is always a new run.

    `plan`: what it is tried with from now on, instead of the approved one.
    """
    deployment = queries.named(ledger.connection, name)
    event = "retested" if deployment.state == deployments.HELD else "retried"
    tests = event == "retested" or deployment.broke_in == deployments.TESTING
    again: dict[str, object] = {"exam": deployment.exam + 1} if tests else {}
    if plan is not None and plan.digest != deployment.plan.digest:
        if deployment.state != deployments.BROKEN:
            raise WrongMove(f"{deployment.id} is {deployment.state}; only what is broken gets another plan.")
        again["plan"] = plan
    return _move(ledger, deployment, event, by, because, f"{deployment.id} is tried again.", **again)


def _move(ledger: Ledger, deployment: Deployment, event: str, by: str, because: str, done: str, **set_: object) -> str:
    if because:
        set_ = {"reason": because, **set_}
    if not ledger.move_deployment(deployment, event, by=by, detail={"because": because} if because else None, **set_):
        now = queries.deployment(ledger.connection, deployment.id)
        return f"Somebody else was faster: {now.id} is {now.state} now."
    return done
