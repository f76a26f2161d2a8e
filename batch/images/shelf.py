"""The images that lie on the shared file system: which there are, who uses them, which may go."""

import shutil
from pathlib import Path
from typing import Any

from lifecycle import images, queries
from lifecycle.deployments import RETIRED
from lifecycle.errors import SchedulerSilent
from lifecycle.imagefolder import LINK, before, current, image_folder, overlay_id, read_image
from lifecycle.ledger import Ledger
from lifecycle.ports import Scheduler

DOOMED = ".going-"
"""A folder that is being deleted is renamed first: half of an image must not look like one."""


def survey(shared: Path, ledger: Ledger) -> list[dict[str, Any]]:
    """image.json of each finished image, oldest first, with `users`: deployments that have not retired."""
    found = [made for name in _names(shared) if (made := read_image(shared, name)) is not None]
    users = _users(ledger)
    return [{**made, "users": users.get(made["id"], [])} for made in sorted(found, key=lambda made: made["at"])]


def to_go(shared: Path, ledger: Ledger, scheduler: Scheduler, keep: int) -> list[str]:
    """Finished ones but the newest `keep`, and what dead jobs left half built.

    Never what a deployment was approved with, what `nightly` points to or pointed to before, or what is being built.
    """
    users, made = _users(ledger), {one["id"]: one for one in survey(shared, ledger)}
    whole = [name for name, one in made.items() if one["kind"] != "overlay"]
    kept = {current(shared), before(shared), *whole[-keep:], *users}
    kept |= {row.id for row in images.open_images(ledger.connection)}
    halves = [name for name in _names(shared) if name not in made and name not in kept]
    alive = _alive(scheduler, halves)
    old = [name for name, one in made.items() if name not in kept]
    return sorted([*old, *(name for name in halves if name not in alive)])


def remove(shared: Path, ledger: Ledger, image: str) -> None:
    """Rename, then delete. Nobody loses an image that was approved meanwhile: the ledger is asked under its lock."""
    with ledger.write():
        if image in _users(ledger) or current(shared) == image:
            return
        doomed = image_folder(shared, image)
        if not image.startswith(DOOMED[1:]):
            doomed = doomed.rename(doomed.with_name(DOOMED[1:] + image))
        if (row := images.find(ledger.connection, image)) is not None:
            images.forget(ledger, row)
    shutil.rmtree(doomed, ignore_errors=True)


def _names(shared: Path) -> list[str]:
    folder = shared / "images"
    if not folder.is_dir():
        return []
    return sorted(e.name for e in folder.iterdir() if e.is_dir() and not e.is_symlink() and e.name != LINK
                  and not e.name.startswith("."))  # fmt: skip


def _users(ledger: Ledger) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for deployment in queries.deployments(ledger.connection):
        plan = deployment.plan
        names = [plan.image, overlay_id(plan.image, plan.overlay) if plan.overlay else ""]
        for name in filter(None, names):
            if deployment.state != RETIRED:
                found.setdefault(name, []).append(deployment.id)
    return found


def _alive(scheduler: Scheduler, names: list[str]) -> set[str]:
    """Those whose build job may still live, also one that was submitted by hand; silence counts as life."""
    try:
        jobs = scheduler.find([f"dz-image-{name}" for name in names])
    except SchedulerSilent:
        return set(names)
    seen = scheduler.snapshot(set(jobs.values()))
    return {key.removeprefix("dz-image-") for key, handle in jobs.items() if not seen.look(handle).state.ended}
