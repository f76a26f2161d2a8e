"""`dayzero weights`: what lies on the shared file system, and what may go."""

import time
from argparse import Namespace
from typing import Any

from batch import weights
from batch.adopting import adopt
from batch.hub import HubReader, parse_reference
from batch.scheduler import choose
from batch.weights import Weights
from lifecycle.errors import NotFound
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

DAY_S = 86_400.0


def run(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    """(data, text) of one of the actions."""
    return ACTIONS[options.what or "list"](options, settings, by)


def _survey(settings: Settings) -> tuple[Ledger, list[Weights]]:
    ledger = Ledger(settings.ledger_path, time.time)
    scheduler = choose(settings, settings.site.state / "scheduler", time.time)
    keep_s = settings.weights.keep_days * DAY_S
    return ledger, weights.survey(settings.site.shared, ledger, scheduler, keep_s, time.time())


def _list(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    _, found = _survey(settings)
    free = weights.free_bytes(settings.site.shared)
    lines = [_line(one, time.time()) for one in found] or ["No weights are here yet."]
    data = {"free": free, "weights": [_data(one) for one in found]}
    return data, "\n".join([*lines, f"{_size(free)} are free; `dayzero weights gc` keeps {_wanted(settings)} free."])


def _gc(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    """Least recently used first, until enough is free."""
    shared = settings.site.shared
    ledger, found = _survey(settings)
    wanted = settings.weights.keep_free if options.free is None else int(options.free * 2**30)
    going = weights.choose(found, weights.free_bytes(shared), wanted)
    gone = going if options.dry_run else [one for one in going if weights.remove(shared, ledger, one)]
    verb = "would go" if options.dry_run else "is gone"
    lines = [f"{one.repo}@{one.revision[:12]} {verb}: {_size(one.size)}" for one in gone] or ["Nothing has to go."]
    free = weights.free_bytes(shared)
    after = free + sum(one.size for one in gone) if options.dry_run else free
    if after < wanted:
        lines.append(f"That leaves {_size(after)} free, not {_size(wanted)}: the rest is in use, pinned or recent.")
    return {"dry_run": options.dry_run, "free": free, "gone": [_data(one) for one in gone]}, "\n".join(lines)


def _adopt(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    reference = parse_reference(options.model)
    facts = HubReader(settings.hub).facts(reference.repo, reference.revision)
    target = adopt(settings.site.shared, settings.hub.endpoint, facts.repo, facts.revision, options.folder.absolute())
    said = f"{facts.repo}@{facts.revision[:12]} is verified and published in {target}."
    return {"folder": str(target), "said": said}, said


def _pin(options: Namespace, settings: Settings, by: str) -> tuple[Any, str]:
    reference = parse_reference(options.model)
    _, found = _survey(settings)
    here = [w for w in found if not w.staged and w.repo == reference.repo]
    here = [w for w in here if reference.revision is None or w.revision.startswith(reference.revision)]
    if not here:
        raise NotFound(f"There are no weights of {options.model}.", "`dayzero weights list` shows what is here.")
    for one in here:
        if options.what == "pin":
            weights.pin(settings.site.shared, one.repo, one.revision, by)
        else:
            weights.unpin(settings.site.shared, one.repo, one.revision)
    done = "stays until it is unpinned" if options.what == "pin" else "may go when nobody uses it"
    said = "\n".join(f"{one.repo}@{one.revision[:12]} {done}." for one in here)
    return {"said": said}, said


def _line(one: Weights, now: float) -> str:
    state = "half fetched, " if one.staged else ""
    days = max(0.0, now - one.last_used) / DAY_S
    why = one.kept or "may go"
    return f"{one.repo}@{one.revision[:12]}  {_size(one.size)}  {state}last used {days:.1f} days ago: {why}"


def _data(one: Weights) -> dict[str, Any]:
    return {
        "repo": one.repo, "revision": one.revision, "folder": str(one.folder), "bytes": one.size,
        "last_used": one.last_used, "kept": one.kept, "pinned": one.pinned, "staged": one.staged,
    }  # fmt: skip


def _wanted(settings: Settings) -> str:
    return _size(settings.weights.keep_free)


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"


ACTIONS = {"list": _list, "gc": _gc, "adopt": _adopt, "pin": _pin, "unpin": _pin}
