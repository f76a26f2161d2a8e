"""`dayzero image`: what servers run in. The command line, Slack and the framework watcher ask here."""

import time
from argparse import Namespace
from typing import Any

from batch.images import orders, shelf
from batch.scheduler import choose
from lifecycle import images
from lifecycle.errors import NotFound, Refused
from lifecycle.imagefolder import before, current, point, read_image
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

SHORT = len("sha256:") + 12


def run(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    """(data, text) of one of the actions."""
    ledger = Ledger(settings.ledger_path, time.time)
    try:
        return ACTIONS[options.what or "list"](options, settings, ledger, by)
    finally:
        ledger.close()


def request(ledger: Ledger, settings: Settings, reference: str, *, by: str) -> str:
    """Have an image built of `reference` (nightly, a release, a commit); the bot submits its job. Returns its id.

    Raises Refused: the settings lack something, or one of that reference is being built already.
    """
    kind = settings.images.kind
    image = orders.new_id(orders.checked(reference), ledger.clock())
    orders.order(settings, image, reference, kind)  # a refusal now, not in the tick
    images.want(ledger, image, reference, kind, by=by)
    return image


def _build(options: Namespace, settings: Settings, ledger: Ledger, by: str) -> tuple[Any, str]:
    image = request(ledger, settings, options.reference, by=by)
    said = f"{image} will be built of {options.reference}: `dayzero image list` shows how far it is."
    return {"image": image, "said": said}, said


def _list(options: Namespace, settings: Settings, ledger: Ledger, by: str) -> tuple[Any, str]:
    shared = settings.site.shared
    now, found = current(shared), shelf.survey(shared, ledger)
    data = [{**made, "current": made["id"] == now} for made in found]
    lines = [_line(made, made["id"] == now) for made in found] or ["There is no image yet: `dayzero image build`."]
    for row in images.every(ledger.connection):
        if row.state != images.READY:
            data.append({"id": row.id, "state": row.state, "reason": row.reason, "next_step": row.next_step})
            lines.append(f"{row.id}  {row.state}  {row.reason} {row.next_step}".rstrip())
    return data, "\n".join(lines)


def _use(options: Namespace, settings: Settings, ledger: Ledger, by: str) -> tuple[Any, str]:
    if (read_image(settings.site.shared, options.image) or {}).get("kind") == orders.OVERLAY:
        raise Refused(f"{options.image} is an overlay.", "Name it in `dayzero deploy … --overlay` instead.")
    return _point(settings, ledger, options.image, by, "used")


def _rollback(options: Namespace, settings: Settings, ledger: Ledger, by: str) -> tuple[Any, str]:
    image = before(settings.site.shared)
    if image is None:
        raise NotFound("No image was used before this one.", "`dayzero image list` shows what there is.")
    return _point(settings, ledger, image, by, "rolled_back")


def _point(settings: Settings, ledger: Ledger, image: str, by: str, event: str) -> tuple[Any, str]:
    shared = settings.site.shared
    elder = current(shared)
    made = orders.must_exist(shared, image)
    point(shared, image, by)
    ledger.note(f"image.{event}", by=by, detail={"image": image, "before": elder or "", "digest": made["digest"]})
    said = f"New plans are made with {image}. What runs keeps the image it was approved with."
    return {"image": image, "before": elder, "said": said}, said


def _gc(options: Namespace, settings: Settings, ledger: Ledger, by: str) -> tuple[Any, str]:
    scheduler = choose(settings, settings.site.state / "scheduler", time.time)
    going = shelf.to_go(settings.site.shared, ledger, scheduler, settings.images.keep)
    if not options.dry_run:
        for name in going:
            shelf.remove(settings.site.shared, ledger, name)
    verb = "would go" if options.dry_run else "is gone"
    return {"dry_run": options.dry_run, "gone": going}, "\n".join(f"{n} {verb}." for n in going) or "Nothing has to go."


def _line(made: dict[str, Any], is_current: bool) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items())
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(made["at"]))
    used = f"  used by {', '.join(made['users'])}" if made["users"] else ""
    mark = "  <- nightly" if is_current else ""
    return f"{made['id']}  {made['kind']}  {made['digest'][:SHORT]}  {day}  {versions}{used}{mark}"


ACTIONS = {"list": _list, "build": _build, "use": _use, "rollback": _rollback, "gc": _gc}
