"""The admin API: keys, teams and the audit, on a port of its own, for admin keys only. An ordinary ASGI application."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sqlite_utils import Database

from gateway import keys
from gateway.admin.bodies import KeyChange, NewKey, Rotation, TeamChange, read
from gateway.auth import store
from gateway.auth.cli import data_of, data_of_team
from gateway.auth.key import ADMIN, USER, Key, prefix_of
from gateway.auth.limits import limits_of
from gateway.auth.subjects import subjects_of
from gateway.errors import ApiError
from gateway.gate import Gate
from gateway.log import say
from gateway.store import open_store
from lifecycle.errors import NotFound, Refused

LARGEST_BODY = 2**16
MOST_ROWS = 1000


@dataclass(frozen=True)
class Asked:
    """One request: `name` is the last part of the address that is not a word of ours, `by` goes into the audit."""

    db: Database
    by: str
    name: str
    query: dict[str, list[str]]
    body: bytes


def _list_keys(asked: Asked) -> tuple[int, Any]:
    return 200, {"keys": [data_of(key) for key in keys.list_keys(asked.db)]}


def _create_key(asked: Asked) -> tuple[int, Any]:
    wanted = read(NewKey, asked.body)
    plaintext = keys.issue(
        asked.db,
        wanted.name,
        () if wanted.admin else wanted.tags,
        wanted.team,
        _expiry(wanted.days),
        asked.by,
        kind=ADMIN if wanted.admin else USER,
        models=wanted.models,
        model_map=wanted.model_map,
        priority=wanted.priority,
        limits=limits_of({name: value for name, value in wanted.limits.items() if value is not None}),
    )
    return 201, {**data_of(keys.find(asked.db, prefix_of(plaintext))), "key": plaintext}


def _show_key(asked: Asked) -> tuple[int, Any]:
    return 200, data_of(keys.find(asked.db, asked.name))


def _change_key(asked: Asked) -> tuple[int, Any]:
    wanted = read(KeyChange, asked.body).model_dump(exclude_none=True)
    if "days" in wanted:
        wanted["expires_at"] = _expiry(wanted.pop("days"))
    return 200, data_of(keys.change(asked.db, asked.name, wanted, asked.by))


def _rotate_key(asked: Asked) -> tuple[int, Any]:
    grace = read(Rotation, asked.body).grace_hours
    key, plaintext = keys.rotate(asked.db, asked.name, grace * 3600, asked.by)
    return 200, {**data_of(keys.find(asked.db, key.prefix)), "key": plaintext}


def _revoke_key(asked: Asked) -> tuple[int, Any]:
    key = keys.revoke(asked.db, asked.name, asked.by)
    return 200, data_of(keys.find(asked.db, key.prefix))


def _list_teams(asked: Asked) -> tuple[int, Any]:
    return 200, {"teams": [data_of_team(team) for team in store.teams(asked.db.conn).values()]}


def _set_team(asked: Asked) -> tuple[int, Any]:
    wanted = read(TeamChange, asked.body)
    team = keys.set_team(
        asked.db, asked.name, tags=wanted.tags, models=wanted.models, limits=wanted.limits, by=asked.by
    )
    return 200, data_of_team(team)


def _drop_team(asked: Asked) -> tuple[int, Any]:
    keys.drop_team(asked.db, asked.name, asked.by)
    return 200, {"dropped": asked.name}


def _audit(asked: Asked) -> tuple[int, Any]:
    most = asked.query.get("limit", ["100"])[-1]
    if not most.isdigit() or not 1 <= int(most) <= MOST_ROWS:
        raise Refused(f"limit can't be {most[:20]!r}.", f"Give a whole number from 1 to {MOST_ROWS}.")
    return 200, {"audit": store.audited(asked.db.conn, asked.query.get("of", [""])[-1], int(most))}


Act = Callable[[Asked], tuple[int, Any]]
ROUTES: dict[str, dict[str, Act]] = {
    "/admin/keys": {"GET": _list_keys, "POST": _create_key},
    "/admin/keys/{name}": {"GET": _show_key, "PATCH": _change_key, "DELETE": _revoke_key},
    "/admin/keys/{name}/rotate": {"POST": _rotate_key},
    "/admin/teams": {"GET": _list_teams},
    "/admin/teams/{name}": {"PUT": _set_team, "DELETE": _drop_team},
    "/admin/audit": {"GET": _audit},
}
USED = re.compile(r"/admin/keys/([^/]+)/used")
PATTERNS = [(re.compile(re.escape(path).replace(r"\{name\}", "([^/]+)")), acts) for path, acts in ROUTES.items()]


class AdminApp:
    def __init__(self, gate: Gate):
        self._gate = gate

    async def __call__(self, scope: dict, receive: Callable, send: Callable[[dict], Awaitable[None]]) -> None:
        try:
            body = (await receive()).get("body", b"")
            status, found = await self._answer(scope, body)
        except ApiError as error:
            status, found = error.status, json.loads(error.body())
        except NotFound as error:
            status, found = 404, json.loads(ApiError(404, error.advice, "invalid_request_error", "not_found").body())
        except Refused as error:
            status, found = 400, json.loads(ApiError(400, error.advice, "invalid_request_error", "refused").body())
        payload = json.dumps(found, default=sorted).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers.append((b"content-length", str(len(payload)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _answer(self, scope: dict, body: bytes) -> tuple[int, Any]:
        caller: Key = scope["caller"]
        if len(body) > LARGEST_BODY:
            raise ApiError(413, "That is more than 64 KiB. Send less.", "invalid_request_error", "request_too_large")
        if (found := USED.fullmatch(scope["path"])) and scope["method"] == "GET":
            return await self._used(found[1])
        act, name = _route(scope["method"], scope["path"])
        by = f"{caller.name} ({caller.prefix})"
        query = parse_qs(scope["query_string"].decode("latin-1"))

        def run() -> tuple[int, Any]:
            with contextlib.closing(open_store(self._gate.settings.gateway_store)) as db:
                return act(Asked(db, by, name, query, body))

        status, answer = await asyncio.to_thread(run)
        self._gate.keys.refresh()
        say("admin", by=caller.prefix, method=scope["method"], path=scope["path"][:200], status=status)
        return status, answer

    async def _used(self, which: str) -> tuple[int, Any]:
        """What a key and its team have used of their limits, running calls included."""

        def find() -> Key:
            with contextlib.closing(open_store(self._gate.settings.gateway_store)) as db:
                key = keys.find(db, which)
                return store.bound(key, store.teams(db.conn).get(key.team))

        key = await asyncio.to_thread(find)
        return 200, {"prefix": key.prefix, "used": self._gate.limiter.standing(subjects_of(key))}


def _route(method: str, path: str) -> tuple[Act, str]:
    for pattern, acts in PATTERNS:
        if found := pattern.fullmatch(path):
            if method not in acts:
                sentence = f"This address takes {' or '.join(acts)}, not {method[:20]}."
                raise ApiError(405, sentence, "invalid_request_error", "method_not_allowed")
            return acts[method], "".join(found.groups())
    known = ", ".join([*ROUTES, "/admin/keys/{name}/used"])
    raise ApiError(404, f"There is nothing at this address. Known: {known}.", "invalid_request_error", "unknown_url")


def _expiry(days: float | None) -> float | None:
    return None if days is None else time.time() + days * 86400
