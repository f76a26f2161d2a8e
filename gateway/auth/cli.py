"""What `dayzero keys …` and `dayzero teams …` do: options in, (data, text) out."""

import contextlib
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from sqlite_utils import Database

from gateway import keys
from gateway.auth import store
from gateway.auth.key import ADMIN, PERSON, USER, Key
from gateway.auth.limits import NAMES, limits_of
from gateway.auth.teams import Team
from gateway.store import open_store
from lifecycle.errors import Refused
from lifecycle.settings import Settings

Answer = tuple[Any, str]


def run_keys(options: Namespace, settings: Settings, by: str) -> Answer:
    """Refused and NotFound say what is wrong with the options."""
    return _run(KEYS, options, settings, by)


def run_teams(options: Namespace, settings: Settings, by: str) -> Answer:
    return _run(TEAMS, options, settings, by)


def _run(actions: Mapping[str, Callable], options: Namespace, settings: Settings, by: str) -> Answer:
    with contextlib.closing(open_store(settings.gateway_store)) as db:
        return actions[options.what or "list"](db, options, by)


def _create(db: Database, options: Namespace, by: str) -> Answer:
    made = keys.issue(
        db,
        options.name,
        () if options.admin else _words(options.tags),
        options.team or "",
        _expiry(options),
        by,
        kind=ADMIN if options.admin else USER,
        models=_words(options.models),
        model_map=_map(options.map),
        priority=options.priority or 0,
        limits=limits_of({name: value for name, value in _limits(options).items() if value is not None}),
    )
    return {"key": made}, made


def _change(db: Database, options: Namespace, by: str) -> Answer:
    changes: dict[str, object] = {
        "name": options.name, "team": options.team, "priority": options.priority, "expires_at": _expiry(options),
    }  # fmt: skip
    changes = {name: value for name, value in changes.items() if value is not None}
    for name in ("tags", "models"):
        if getattr(options, name) is not None:
            changes[name] = _words(getattr(options, name))
    if options.map is not None:
        changes["model_map"] = _map(options.map)
    if limits := _limits(options):
        changes["limits"] = limits
    if not changes:
        raise Refused("Nothing is to be changed.", "Say what: see `dayzero keys change --help`.")
    key = keys.change(db, options.which, changes, by)
    return data_of(key), f"{key.prefix} ({key.name}) is changed: {', '.join(changes)}."


def _rotate(db: Database, options: Namespace, by: str) -> Answer:
    _, made = keys.rotate(db, options.which, options.grace * 3600, by)
    return {"key": made}, made


def _revoke(db: Database, options: Namespace, by: str) -> Answer:
    key = keys.revoke(db, options.which, by)
    said = f"{key.prefix} ({key.name}) is revoked: requests with it are refused from now on."
    return {"said": said}, said


def _list(db: Database, options: Namespace, by: str) -> Answer:
    found, now = keys.list_keys(db), time.time()
    lines = [("KEY", "NAME", "TEAM", "TAGS", "ISSUED", "LAST USE", "STATE")]
    for key in found:
        tags = {ADMIN: "admin", PERSON: "by token"}.get(key.kind) or ",".join(sorted(key.tags))
        used = day(key.last_used_at)
        lines.append((key.prefix, key.name, key.team, tags, day(key.created_at), used, key.state(now)))
    return [data_of(key) for key in found], table(lines)


def _show(db: Database, options: Namespace, by: str) -> Answer:
    key = keys.find(db, options.which)
    data = data_of(key)
    return data, "\n".join(f"{name:<13} {_shown(name, value)}" for name, value in data.items())


def _audit(db: Database, options: Namespace, by: str) -> Answer:
    found = store.audited(db.conn, options.which, max(1, options.lines))
    lines = [("WHEN (UTC)", "WHO", "WHAT", "OF", "HOW")]
    lines += [(moment(row["at"]), row["by"], row["action"], row["subject"], str(row["detail"])[:120]) for row in found]
    return found, table(lines)


KEYS = {
    "create": _create, "change": _change, "rotate": _rotate, "revoke": _revoke, "list": _list, "show": _show,
    "audit": _audit,
}  # fmt: skip


def _set(db: Database, options: Namespace, by: str) -> Answer:
    tags = None if options.tags is None else _words(options.tags)
    models = None if options.models is None else _words(options.models)
    team = keys.set_team(db, options.name, tags=tags, models=models, limits=_limits(options), by=by)
    return data_of_team(team), f"Team {team.name}: {_shown('limits', team.limits.given())}."


def _drop(db: Database, options: Namespace, by: str) -> Answer:
    keys.drop_team(db, options.name, by)
    said = f"Team {options.name} has no limits of its own any more; its keys stay."
    return {"said": said}, said


def _teams(db: Database, options: Namespace, by: str) -> Answer:
    found = list(store.teams(db.conn).values())
    lines = [("TEAM", "TAGS", "MODELS", "LIMITS")]
    for team in found:
        limits = _shown("limits", team.limits.given())
        lines.append((team.name, ",".join(team.tags) or "any", ",".join(team.models) or "any", limits))
    return [data_of_team(team) for team in found], table(lines)


TEAMS = {"set": _set, "drop": _drop, "list": _teams}


def data_of(key: Key) -> dict[str, Any]:
    """All that may be shown of a key."""
    return {
        "prefix": key.prefix, "kind": key.kind, "name": key.name, "team": key.team, "tags": sorted(key.tags),
        "models": list(key.models), "model_map": dict(key.model_map), "priority": key.priority,
        "limits": key.limits.given(), "created_at": key.created_at, "created_by": key.created_by,
        "expires_at": key.expires_at, "rotated_at": key.rotated_at, "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at, "alive": key.alive(time.time()),
    }  # fmt: skip


def data_of_team(team: Team) -> dict[str, Any]:
    return {
        "name": team.name, "tags": list(team.tags), "models": list(team.models), "limits": team.limits.given(),
        "created_at": team.created_at, "created_by": team.created_by,
    }  # fmt: skip


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _map(pairs: list[str] | None) -> dict[str, str]:
    for pair in pairs or ():
        if "=" not in pair:
            raise Refused(f"{pair!r} maps no name to a model.", "Say --map gpt-4o=stable.")
    return {name.strip(): model.strip() for name, _, model in (pair.partition("=") for pair in pairs or ())}


def _expiry(options: Namespace) -> float | None:
    if options.days is None:
        return None
    if not 0 < options.days < 36500:
        raise Refused(f"A key can't live for {options.days:g} days.", "Give a number above 0, up to a hundred years.")
    return time.time() + options.days * 86400


def _limits(options: Namespace) -> dict[str, float | None]:
    """Those that were said; None for `none`."""
    found: dict[str, float | None] = {}
    for name in NAMES:
        if (text := getattr(options, name)) is None:
            continue
        if text.lower() == "none":
            found[name] = None
            continue
        try:
            found[name] = float(text) if name.startswith("cost") else int(text)
        except ValueError:
            raise Refused(f"{name} can't be {text!r}.", "Give a number above zero, or none.") from None
    return found


def day(at: float | None) -> str:
    return "never" if at is None else time.strftime("%Y-%m-%d", time.gmtime(at))


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def _shown(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(value) or "any"
    if name.endswith("_at"):
        return "never" if value is None else moment(value)
    return str(value)


def table(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
