"""All SQL about keys, teams and what they have used. Whoever writes says who it was: each change has its audit row."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from gateway.auth.key import Key
from gateway.auth.limits import limits_of
from gateway.auth.teams import Team
from gateway.store import Connection

COLUMNS = (
    "id, prefix, name, team, tags, created_at, created_by, expires_at, revoked_at, kind, models, model_map, priority,"
    " limits, rotated_at"
)
JSON_COLUMNS = frozenset({"tags", "models", "model_map", "limits"})


def generation(connection: Connection) -> int:
    """Moves with every change of a key or a team."""
    return connection.execute("SELECT generation FROM key_changes").fetchone()[0]


def teams(connection: Connection) -> dict[str, Team]:
    rows = connection.execute("SELECT name, tags, models, limits, created_at, created_by FROM teams ORDER BY name")
    return {row[0]: _team(tuple(row)) for row in rows}


def keys(connection: Connection, where: str = "", values: tuple = ()) -> list[Key]:
    """Newest first, each as its own row says; `bound` adds what its team says."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM keys {where} ORDER BY id DESC", values)
    return [_key(tuple(row)) for row in rows]


def secrets(connection: Connection) -> dict[int, tuple[str, str, float]]:
    """Key id → (hash, the hash before it or empty, until when that one is good), of keys that were not revoked."""
    rows = connection.execute("SELECT id, hash, previous_hash, previous_until FROM keys WHERE revoked_at IS NULL")
    return {row[0]: (row[1], row[2] or "", row[3] or 0.0) for row in rows}


def bound(key: Key, team: Team | None) -> Key:
    """The key as its team lets it be: a team narrows, it never widens."""
    if team is None:
        return key
    tags = key.tags & frozenset(team.tags) if team.tags else key.tags
    return replace(key, tags=tags, team_models=team.models, team_limits=team.limits)


def last_used(connection: Connection) -> dict[int, float]:
    """Key id → when it was last used, as far as rows and hourly sums are kept."""
    query = """
        SELECT key_id, max(at) FROM (
            SELECT key_id, max(at) AS at FROM usage GROUP BY key_id
            UNION ALL SELECT key_id, max(hour) * 3600.0 AS at FROM usage_hours GROUP BY key_id) AS seen
        GROUP BY key_id"""
    return {row[0]: row[1] for row in connection.execute(query)}


def insert_key(connection: Connection, hash: str, fields: Mapping[str, object]) -> None:
    """Raises sqlite3.IntegrityError when the prefix is taken."""
    values = {"hash": hash, **_stored(fields)}
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO keys ({names}) VALUES ({marks})", tuple(values.values()))


def update_key(connection: Connection, id: int, fields: Mapping[str, object]) -> None:
    values = _stored(fields)
    sets = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE keys SET {sets} WHERE id = ?", (*values.values(), id))


def put_team(connection: Connection, team: Team) -> None:
    connection.execute(
        "INSERT INTO teams (name, tags, models, limits, created_at, created_by) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET tags = excluded.tags, models = excluded.models, limits = excluded.limits",
        (
            team.name, json.dumps(team.tags), json.dumps(team.models), team.limits.to_json(), team.created_at,
            team.created_by,
        ),
    )  # fmt: skip


def delete_team(connection: Connection, name: str) -> None:
    connection.execute("DELETE FROM teams WHERE name = ?", (name,))


def audit(connection: Connection, at: float, by: str, action: str, subject: str, detail: Mapping[str, object]) -> None:
    connection.execute(
        "INSERT INTO audit (at, by, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (at, by, action, subject, json.dumps(detail, default=sorted)),
    )


def audited(connection: Connection, subject: str = "", most: int = 100) -> list[dict]:
    """The newest changes first; `subject`: a key's prefix or `team:<name>`."""
    rows = connection.execute(
        "SELECT at, by, action, subject, detail FROM audit WHERE ? IN ('', subject) ORDER BY id DESC LIMIT ?",
        (subject, most),
    )
    return [
        {"at": row[0], "by": row[1], "action": row[2], "subject": row[3], "detail": json.loads(row[4])} for row in rows
    ]


SPENT_BY = {"key": "key_id", "team": "team", "provider": "provider", "model": "model"}


def spent(connection: Connection, kind: str, which: str | int, since: float) -> tuple[int, float]:
    """(tokens, cost) of a key (its id), team, provider or model since a UTC day began, as the ledger has it."""
    column = SPENT_BY[kind]
    query = f"""
        SELECT coalesce(sum(tokens), 0), coalesce(sum(cost), 0.0) FROM (
            SELECT prompt_tokens + completion_tokens AS tokens, cost FROM usage_hours
            WHERE hour >= ? AND {column} = ?
            UNION ALL
            SELECT coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) AS tokens, coalesce(cost, 0.0) AS cost
            FROM usage WHERE id > (SELECT id FROM rolled) AND at >= ? AND {column} = ?) AS parts"""
    row = connection.execute(query, (int(since // 3600), which, since, which)).fetchone()
    return int(row[0]), float(row[1])


def _stored(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: json.dumps(value) if name in JSON_COLUMNS else value for name, value in fields.items()}


def _key(row: tuple) -> Key:
    (id, prefix, name, team, tags, created_at, created_by, expires_at, revoked_at, kind, models, model_map, priority,
     limits, rotated_at) = row  # fmt: skip
    return Key(
        id=id, prefix=prefix, name=name, team=team, tags=frozenset(json.loads(tags)), created_at=created_at,
        created_by=created_by, expires_at=expires_at, revoked_at=revoked_at, kind=kind,
        models=tuple(json.loads(models)), model_map=json.loads(model_map), priority=priority,
        limits=limits_of(json.loads(limits)), rotated_at=rotated_at,
    )  # fmt: skip


def _team(row: tuple) -> Team:
    name, tags, models, limits, created_at, created_by = row
    return Team(
        name, tuple(json.loads(tags)), tuple(json.loads(models)), limits_of(json.loads(limits)), created_at, created_by
    )


Taken = sqlite3.IntegrityError
