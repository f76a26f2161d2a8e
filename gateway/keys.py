"""Keys: who calls, and which tags they may see.

A key looks like dz-1a2b3c4d-<43 characters>. The first part is public: it finds the row and stands in logs. Only a
SHA-256 of the whole key is stored, which is enough for 256 bits of chance. The plaintext is shown once, by `issue`.
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from gateway.store import read_only
from lifecycle.deployments import CANDIDATE_TAG, PREVIEW_TAG, STABLE_TAG
from lifecycle.errors import NotFound, Refused

TAGS = (STABLE_TAG, PREVIEW_TAG, CANDIDATE_TAG)
PREFIX_LENGTH = len("dz-") + 8


@dataclass(frozen=True)
class Key:
    """Times are epoch seconds UTC; None: never."""

    id: int
    prefix: str
    name: str
    team: str
    tags: frozenset[str]
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None

    def alive(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def issue(
    db: Database, name: str, tags: Collection[str], team: str = "", expires_at: float | None = None, by: str = "dayzero"
) -> str:
    """A new key, in plaintext: the only time it can be seen. Raises Refused for an unknown tag or an empty name."""
    unknown = sorted(set(tags) - set(TAGS))
    if unknown or not tags:
        raise Refused(f"A key can't be scoped to {', '.join(unknown) or 'nothing'}.", f"Choose from {', '.join(TAGS)}.")
    if not name.strip():
        raise Refused("A key needs a name.", "Say who or what will use it.")
    now = time.time()
    while True:
        prefix = f"dz-{secrets.token_hex(4)}"
        plaintext = f"{prefix}-{secrets.token_urlsafe(32)}"
        values = (prefix, fingerprint(plaintext), name, team, json.dumps(sorted(tags)), now, by, expires_at)
        try:
            with db.conn:
                db.execute(
                    "INSERT INTO keys (prefix, hash, name, team, tags, created_at, created_by, expires_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
                _audit(db, now, by, "key.issued", prefix, {"name": name, "team": team, "tags": sorted(tags)})
        except sqlite3.IntegrityError:  # the public part is already taken: one in four billion
            continue
        return plaintext


def list_keys(db: Database) -> list[Key]:
    """All keys that were ever issued, newest first."""
    return [_key(row) for row in db.query(f"SELECT {COLUMNS} FROM keys ORDER BY id DESC")]


def revoke(db: Database, which: str, by: str = "dayzero") -> Key:
    """Revoke the key with that prefix, or the one living key of that name. NotFound; Refused when not unique."""
    now = time.time()
    living = [key for key in list_keys(db) if key.revoked_at is None and which in (key.prefix, key.name)]
    if not living:
        raise NotFound(f"There is no living key {which}.", "See `dayzero keys list`.")
    if len(living) > 1:
        raise Refused(f"{len(living)} keys are called {which}.", f"Name one: {', '.join(k.prefix for k in living)}.")
    key = living[0]
    with db.conn:
        db.execute("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key.id))
        _audit(db, now, by, "key.revoked", key.prefix, {"name": key.name})
    return key


class KeyRing:
    """The keys in memory: a request costs one hash. Holds what gateway.db said when `refresh` last looked."""

    def __init__(self, path: Path):
        self._connection = read_only(path)
        self._generation = 0
        self._keys: dict[str, tuple[str, Key]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over what has changed. About ten microseconds when nothing has."""
        generation = self._connection.execute("SELECT generation FROM key_changes").fetchone()[0]
        if generation == self._generation:
            return
        rows = self._connection.execute(f"SELECT hash, {COLUMNS} FROM keys WHERE revoked_at IS NULL").fetchall()
        self._keys = {row["prefix"]: (row["hash"], _key(row)) for row in rows}
        self._generation = generation

    def caller(self, plaintext: str, now: float) -> Key | None:
        """Whose key this is; None when it is wrong, expired or revoked."""
        prefix = plaintext[:PREFIX_LENGTH]
        found = self._keys.get(prefix)
        if found is None:  # issued a moment ago, or never
            self.refresh()
            found = self._keys.get(prefix)
        expected, key = found or (NOBODY, None)
        same = hmac.compare_digest(fingerprint(plaintext), expected)
        return key if same and key is not None and key.alive(now) else None

    def close(self) -> None:
        self._connection.close()


COLUMNS = "id, prefix, name, team, tags, created_at, created_by, expires_at, revoked_at"


def fingerprint(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).hexdigest()


NOBODY = fingerprint("")


def _key(row: dict | sqlite3.Row) -> Key:
    return Key(
        id=row["id"],
        prefix=row["prefix"],
        name=row["name"],
        team=row["team"],
        tags=frozenset(json.loads(row["tags"])),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _audit(db: Database, at: float, by: str, action: str, subject: str, detail: dict) -> None:
    db.execute(
        "INSERT INTO audit (at, by, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (at, by, action, subject, json.dumps(detail)),
    )
