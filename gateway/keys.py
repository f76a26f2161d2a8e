"""What people do with keys and teams: issue, change, rotate, revoke. Each is one transaction with its audit row."""

import contextlib
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlite_utils import Database

from gateway.auth import store
from gateway.auth.key import TAGS, USER, Key, fingerprint, mint
from gateway.auth.limits import NONE, Limits
from gateway.auth.teams import Team
from gateway.store import Where, begin, connect
from lifecycle.errors import NotFound, Refused

LONGEST_GRACE_S = 30 * 86400.0
PRIORITIES = range(-100, 101)


def issue(
    db: Database,
    name: str,
    tags: Collection[str],
    team: str = "",
    expires_at: float | None = None,
    by: str = "dayzero",
    *,
    kind: str = USER,
    models: Collection[str] = (),
    model_map: Mapping[str, str] | None = None,
    priority: int = 0,
    limits: Limits = NONE,
) -> str:
    """A new key, in plaintext: the only time it can be seen. Refused for an unknown tag, an empty name and the like."""
    if kind == USER or tags:
        _check_tags(tags)
    if not name.strip():
        raise Refused("A key needs a name.", "Say who or what will use it.")
    _check(models, model_map or {}, priority)
    now = time.time()
    if expires_at is not None and expires_at != expires_at:
        raise Refused("A key can't expire at no time.", "Give the days it shall live.")
    fields = {
        "name": name, "team": team, "tags": sorted(tags), "kind": kind, "models": list(models),
        "model_map": dict(model_map or {}), "priority": priority, "limits": limits.given(), "expires_at": expires_at,
    }  # fmt: skip
    while True:
        prefix, plaintext = mint(kind)
        row = {"prefix": prefix, "created_at": now, "created_by": by, **fields}
        try:
            with begin(db.conn):
                store.insert_key(db.conn, fingerprint(plaintext), row)
                store.audit(db.conn, now, by, "key.issued", prefix, fields)
        except store.Taken:  # the public part is already taken: one in four billion
            continue
        return plaintext


def meet(database: Where, prefix: str, name: str, issuer: str, kind: str) -> None:
    """A row for somebody whom an identity provider vouches for; nothing happens when there is one. Any thread."""
    now = time.time()
    row = {"prefix": prefix, "name": name, "tags": [], "kind": kind, "created_at": now, "created_by": issuer}
    connection = connect(database)
    try:
        with contextlib.suppress(store.Taken), begin(connection):  # another worker met them at the same moment
            store.insert_key(connection, "", row)
            store.audit(connection, now, issuer, "person.met", prefix, {"name": name})
    finally:
        connection.close()


def list_keys(db: Database) -> list[Key]:
    """All keys that were ever issued, newest first, with their last use."""
    used = store.last_used(db.conn)
    return [replace(key, last_used_at=used.get(key.id)) for key in store.keys(db.conn)]


def find(db: Database, which: str) -> Key:
    """The key with that prefix, dead or alive, or the one living key of that name, with its last use."""
    dead = store.keys(db.conn, "WHERE prefix = ?", (which,))
    key = dead[0] if dead else named(db, which)
    return replace(key, last_used_at=store.last_used(db.conn).get(key.id))


def named(db: Database, which: str) -> Key:
    """The living key with that prefix, or the one living key of that name. NotFound; Refused when not unique."""
    living = store.keys(db.conn, "WHERE revoked_at IS NULL AND ? IN (prefix, name)", (which,))
    if not living:
        raise NotFound(f"There is no living key {which}.", "See `dayzero keys list`.")
    if len(living) > 1:
        raise Refused(f"{len(living)} keys are called {which}.", f"Name one: {', '.join(k.prefix for k in living)}.")
    return living[0]


def revoke(db: Database, which: str, by: str = "dayzero") -> Key:
    """Refuse that key from now on. NotFound; Refused when the name is not unique."""
    now = time.time()
    with begin(db.conn):
        key = named(db, which)
        store.update_key(db.conn, key.id, {"revoked_at": now})
        store.audit(db.conn, now, by, "key.revoked", key.prefix, {"name": key.name})
    return key


def rotate(db: Database, which: str, grace_s: float = 0.0, by: str = "dayzero") -> tuple[Key, str]:
    """(key, its new plaintext). The old secret is good for `grace_s` more; of two rotations, only the last one's."""
    if not 0 <= grace_s <= LONGEST_GRACE_S:
        raise Refused("The old secret can't stay good for so long.", "Give at most 30 days of grace, and none below 0.")
    now = time.time()
    with begin(db.conn):
        key = named(db, which)
        if key.prefix.partition("-")[0] not in ("dz", "dza"):
            raise Refused(f"{key.prefix} is a person of an identity provider.", "There is no secret to rotate.")
        before = store.secrets(db.conn)[key.id][0]
        _, plaintext = mint(key.kind, key.prefix)
        fields = {"hash": fingerprint(plaintext), "previous_hash": before, "previous_until": now + grace_s}
        store.update_key(db.conn, key.id, {**fields, "rotated_at": now})
        store.audit(db.conn, now, by, "key.rotated", key.prefix, {"name": key.name, "grace_s": grace_s})
    return key, plaintext


CHANGEABLE = ("name", "team", "tags", "models", "model_map", "priority", "expires_at", "limits")


def change(db: Database, which: str, changes: Mapping[str, object], by: str = "dayzero") -> Key:
    """Other scopes, limits or a team for a living key; `limits` names only those that change. NotFound, Refused."""
    if unknown := sorted(set(changes) - set(CHANGEABLE)):
        raise Refused(f"{', '.join(unknown)} of a key can't be changed.", f"These can: {', '.join(CHANGEABLE)}.")
    now = time.time()
    with begin(db.conn):
        key = named(db, which)
        wanted = dict(changes)
        if "tags" in wanted:
            _check_tags(wanted["tags"])
            wanted["tags"] = sorted(wanted["tags"])
        if "name" in wanted and not str(wanted["name"]).strip():
            raise Refused("A key needs a name.", "Say who or what will use it.")
        if "limits" in wanted:
            wanted["limits"] = key.limits.changed(wanted["limits"]).given()
        if "models" in wanted:
            wanted["models"] = list(wanted["models"])
        _check(wanted.get("models", ()), wanted.get("model_map", {}), wanted.get("priority", 0))
        if wanted:
            old = {name: key.limits.given() if name == "limits" else getattr(key, name) for name in wanted}
            store.update_key(db.conn, key.id, wanted)
            store.audit(db.conn, now, by, "key.changed", key.prefix, {"old": old, "new": wanted})
        return store.keys(db.conn, "WHERE id = ?", (key.id,))[0]


def set_team(
    db: Database,
    name: str,
    *,
    tags: Collection[str] | None = None,
    models: Collection[str] | None = None,
    limits: Mapping[str, float | None] | None = None,
    by: str = "dayzero",
) -> Team:
    """Make a team, or change what is given of one. Refused for an empty name, an unknown tag or limit."""
    if not name.strip():
        raise Refused("A team needs a name.", "Say which.")
    now = time.time()
    with begin(db.conn):
        old = store.teams(db.conn).get(name)
        team = old or Team(name, created_at=now, created_by=by)
        if tags:
            _check_tags(tags)
        _check(models or (), {}, 0)
        team = replace(
            team,
            tags=team.tags if tags is None else tuple(sorted(tags)),
            models=team.models if models is None else tuple(models),
            limits=team.limits.changed(limits or {}),
        )
        store.put_team(db.conn, team)
        detail = {"old": _described(old) if old else None, "new": _described(team)}
        store.audit(db.conn, now, by, "team.changed" if old else "team.made", f"team:{name}", detail)
    return team


def drop_team(db: Database, name: str, by: str = "dayzero") -> None:
    """Its limits are gone; its keys stay. NotFound."""
    with begin(db.conn):
        old = store.teams(db.conn).get(name)
        if old is None:
            raise NotFound(f"There is no team {name} with limits of its own.", "See `dayzero teams list`.")
        store.delete_team(db.conn, name)
        store.audit(db.conn, time.time(), by, "team.dropped", f"team:{name}", {"old": _described(old)})


def _described(team: Team) -> dict[str, object]:
    return {"tags": team.tags, "models": team.models, "limits": team.limits.given()}


def _check_tags(tags: Collection[str]) -> None:
    unknown = sorted(set(tags) - set(TAGS))
    if unknown or not tags:
        raise Refused(f"A key can't be scoped to {', '.join(unknown) or 'nothing'}.", f"Choose from {', '.join(TAGS)}.")


def _check(models: Collection[str], model_map: Mapping[str, str], priority: int) -> None:
    if isinstance(models, str) or any(not isinstance(m, str) or not 0 < len(m) <= 200 for m in models):
        raise Refused("Models must be names or globs such as org/*.", "Give each up to 200 letters.")
    if any(not isinstance(v, str) or not k or not v for k, v in model_map.items()):
        raise Refused("A model map takes a name to another.", "Say gpt-4o=stable.")
    if isinstance(priority, bool) or not isinstance(priority, int) or priority not in PRIORITIES:
        raise Refused(f"A priority can't be {priority!r}.", "Give a whole number from -100 to 100; 0 is usual.")
