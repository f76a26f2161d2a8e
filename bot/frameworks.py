"""A framework has a release: an image is built of it, and what waits for it may be tried again, with the evidence."""

import sqlite3
from dataclasses import replace
from typing import Any

from batch.images.choice import with_image
from batch.images.orders import uses_image
from bot.images import request
from bot.watch.evidence import BROKEN, FALLBACK, engine_of, waits_for
from lifecycle import actions, images, queries, releases, swapping
from lifecycle.errors import Refused
from lifecycle.ledger import Ledger
from lifecycle.plans import Plan
from lifecycle.records import Release
from lifecycle.servers import UP
from lifecycle.settings import Settings

KIND = "note.retry_offered"
NIGHTLY = "nightly"


def waiting(db: sqlite3.Connection, engine: str) -> dict[str, str]:
    """Deployment → BROKEN or FALLBACK, of those that a newer `engine` may help."""
    found = {}
    for deployment in queries.deployments(db):
        up = (s.engine for s in queries.servers_of(db, deployment.id) if s.state == UP)
        if why := waits_for(deployment, engine, next(up, "")):
            found[deployment.id] = why
    return found


def architectures(db: sqlite3.Connection, engine: str) -> tuple[tuple[str, str], ...]:
    """(deployment, architecture) of those that wait: what the watcher looks for in a release."""
    found = []
    for name in waiting(db, engine):
        row = queries.deployment(db, name).release_id
        facts = queries.release(db, row).facts if row is not None else None
        found.append((name, (facts.architecture or "") if facts else ""))
    return tuple(found)


class Frameworks:
    """`step()` takes one step of every release of a framework: the image is asked for, then people are."""

    def __init__(self, settings: Settings, ledger: Ledger):
        self._settings = settings
        self._ledger = ledger

    def step(self) -> int:
        """The number of releases that were announced."""
        announced = 0
        for release in queries.releases_in(self._ledger.connection, releases.FOUND):
            if release.kind == "framework":
                announced += self._announce(release)
        for row in self._unspoken():
            self._speak(queries.release(self._ledger.connection, row))
        return announced

    def _announce(self, release: Release) -> bool:
        """The card, and the build: both or neither, whenever we are killed."""
        with self._ledger.write():
            notes = {**release.notes, **self._build(release)}
            return self._ledger.move_release(release, "offered", detail=notes, notes=notes)

    def _build(self, release: Release) -> dict[str, str]:
        """`image`: what is built of it; `no_image`: why nothing is."""
        wanted = any(uses_image(self._settings, (name,)) for name in self._settings.runtimes)
        if not wanted or not self._settings.github.build_images or release.notes.get("prerelease"):
            return {}
        of_release = engine_of(release.repo) == self._settings.images.packages[0]
        try:
            image = request(self._ledger, self._settings, release.revision if of_release else NIGHTLY, by=release.repo)
        except Refused as refusal:
            return {"no_image": refusal.advice}
        return {"image": image}

    def _unspoken(self) -> list[int]:
        query = (
            "SELECT id FROM releases WHERE kind = 'framework' AND state = 'OFFERED'"
            " AND json_extract(notes, '$.evidence') IS NOT NULL AND json_extract(notes, '$.spoken') IS NULL ORDER BY id"
        )
        return [row["id"] for row in self._ledger.connection.execute(query)]

    def _speak(self, release: Release) -> None:
        """Once its image is ready, or there is none to wait for: one word for each deployment that still waits."""
        db, notes = self._ledger.connection, release.notes
        image = images.find(db, notes.get("image", ""))
        if image is not None and image.state in (images.WANTED, images.BUILDING):
            return
        ready = image.id if image is not None and image.state == images.READY else ""
        failed = "" if ready or image is None else f"But its image could not be built: {image.reason}"
        still = waiting(db, engine_of(release.repo))
        with self._ledger.write():
            self._ledger.amend("releases", release.id, notes={**notes, "spoken": True})
            for name, sentence in notes["evidence"].items():
                if name in still:
                    detail = offer(name, still[name], sentence, ready, f"{release.repo} {release.revision}")
                    detail |= {"sentence": f"{detail['sentence']} {failed}".strip()}
                    self._ledger.note(KIND, release_id=release.id, deployment_id=name, detail=detail)


def offer(name: str, why: str, evidence: str, image: str, framework: str) -> dict[str, Any]:
    """What the thread says, and what its button does. `image` "": the runtime's own environment must be renewed."""
    waits = {BROKEN: f"{name} is broken", FALLBACK: f"{name} runs on its fallback engine"}[why]
    if image:
        step = f"Retry it in the image {image}: the button, or `dayzero retry {name} --image {image}`."
    else:
        step = f"Install {framework} where the runtime is, then retry: the button, or `dayzero retry {name}`."
    sentence = f"{waits}, and {framework} may mend that. {evidence}"
    return {"sentence": sentence, "next_step": step, "image": image, "why": why}


def again(ledger: Ledger, settings: Settings, name: str, image: str, *, by: str) -> str:
    """Try a deployment with another image (""): the one of its plan. What is broken goes on where it broke; what
    serves gets a successor, and goes on serving until that one has passed.
    """
    deployment = queries.named(ledger.connection, name)
    plan = with_image(_bare(deployment.plan), settings, image, deployment.plan.overlay) if image else deployment.plan
    if deployment.state not in swapping.SERVING:
        return actions.retry(ledger, deployment.id, by=by, plan=plan)
    swapping.refuse_crowd(deployment, plan, settings.cluster.guards.max_nodes)
    successor = swapping.swap_for(ledger, deployment, plan, settings.swap.steps, by=by)
    return f"{successor} is on its way to the place of {deployment.id}, which serves until then."


def _bare(plan: Plan) -> Plan:
    """Without the sentence about the image that it had, and without a forecast that is old by now."""
    kept = tuple(reason for reason in plan.reasons if not reason.startswith("It runs in the image "))
    return replace(plan, reasons=kept, forecast=None)
