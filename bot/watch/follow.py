"""What a difference means for what we know already: releases nobody has decided about, and models that are deployed."""

from collections.abc import Collection, Mapping

from bot.watch.difference import Difference
from lifecycle import queries, releases
from lifecycle.deployments import DRAINING
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment, Release

WAITING = (releases.FOUND, releases.OFFERED, releases.SNOOZED)
UPDATE = "update"
"""The kind, in a release's notes, of a new revision of what is deployed."""

OF_THE_PLAN = frozenset({"smaller", "planned_at"})
"""What a release's notes keep of a plan that no longer holds."""

NOW = "now"
"""Where a release's notes keep the name that its repository has now, when it was renamed after the decision."""


def follow(ledger: Ledger, found: Difference, changed: Mapping[str, Collection[str]]) -> None:
    """`changed`: repository → paths that changed, of deployed models with a new commit. Inside a transaction."""
    touched = {*found.moved, *found.gone, *found.renamed}
    if not touched:
        return
    for release in queries.releases_in(ledger.connection, *WAITING, releases.SKIPPED):
        if release.kind == "model" and release.repo in touched:
            _undecided(ledger, release, found)
    for deployment in queries.deployments(ledger.connection):
        if deployment.state != DRAINING and (name := upstream(ledger, deployment)) in touched:
            _deployed(ledger, deployment, name, found, changed)


def upstream(ledger: Ledger, deployment: Deployment) -> str:
    """What the Hub calls a deployed model now."""
    if deployment.release_id is None:
        return deployment.model
    return queries.release(ledger.connection, deployment.release_id).notes.get(NOW, deployment.model)


def _undecided(ledger: Ledger, release: Release, found: Difference) -> None:
    """The card goes along with its repository, so that thirty commits of an upload are one card and not thirty."""
    name = found.renamed.get(release.repo, release.repo)
    if release.state == releases.SKIPPED:
        if name != release.repo and not _taken(ledger, name, release.revision):
            ledger.move_release(release, "renamed", detail={"before": release.repo, "repo": name}, repo=name)
        return
    if release.repo in found.gone:
        said = "It is gone from the Hub, or private."
        ledger.move_release(release, "withdrawn", detail={"gone": True}, refusal=said, plan=None)
        return
    commit = found.moved.get(name, release.revision)
    if _taken(ledger, name, commit):
        ledger.move_release(release, "withdrawn", detail={"gone": False})
        ledger.found("model", name, commit, published_at=release.published_at, notes=_kin(release))
        return
    asleep = release.wake_at if release.state == releases.SNOOZED else None
    notes = {key: value for key, value in release.notes.items() if key not in OF_THE_PLAN}
    afresh = {"repo": name, "revision": commit, "plan": None, "notes": notes, "wake_at": asleep}
    afresh["refusal"] = "It is looked at afresh."
    if name != release.repo:
        ledger.move_release(release, "renamed", detail={"before": release.repo, "repo": name}, **afresh)
    else:
        ledger.move_release(release, "pushed", detail={"before": release.revision, "revision": commit}, **afresh)


def _taken(ledger: Ledger, repo: str, revision: str) -> bool:
    return queries.release_of(ledger.connection, "model", repo, revision) is not None


def _kin(release: Release) -> dict[str, str]:
    return {key: release.notes[key] for key in ("kind", "base") if key in release.notes}


def _deployed(
    ledger: Ledger, deployment: Deployment, name: str, found: Difference, changed: Mapping[str, Collection[str]]
) -> None:
    if name in found.gone:
        sentence = f"{name} is gone from the Hub, or private. {deployment.id} goes on with the weights that are here."
        ledger.note("note.gone", deployment_id=deployment.id, detail={"sentence": sentence})
        return
    now = found.renamed.get(name, name)
    if now != name:
        _keep_name(ledger, deployment, now)
        sentence = f"{name} is called {now} on the Hub now. {deployment.id} goes on under its old name."
        ledger.note("note.renamed", deployment_id=deployment.id, detail={"sentence": sentence})
    if now not in found.moved:
        return
    if not (paths := changed.get(now)):
        sentence = f"{now} has a new commit that changes nothing of what is served."
        ledger.note("note.ignored", deployment_id=deployment.id, detail={"sentence": sentence})
        return
    notes = {"kind": UPDATE, "base": deployment.model, "updates": deployment.id, "changed": list(paths)[:10]}
    ledger.found("model", now, found.moved[now], published_at=ledger.clock(), notes=notes)


def _keep_name(ledger: Ledger, deployment: Deployment, now: str) -> None:
    if deployment.release_id is not None:
        release = queries.release(ledger.connection, deployment.release_id)
        ledger.amend("releases", release.id, notes={**release.notes, NOW: now})
