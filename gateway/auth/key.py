"""A key: who calls, what it may call, under which limits. And the secret that proves it.

A key looks like dz-1a2b3c4d-<43 characters>. The first part is public: it finds the row and stands in logs. Only a
SHA-256 of the whole key is stored, which is enough for 256 bits of chance.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from gateway.auth.limits import NONE, Limits
from lifecycle.deployments import CANDIDATE_TAG, PREVIEW_TAG, STABLE_TAG

TAGS = (STABLE_TAG, PREVIEW_TAG, CANDIDATE_TAG)
USER, ADMIN, PERSON = "user", "admin", "person"
"""Kinds: calls models; changes keys through the admin API; somebody whom an identity provider vouched for."""

MARKS = {USER: "dz", ADMIN: "dza"}
PREFIX = re.compile(r"dza?-[0-9a-f]{8}")


@dataclass(frozen=True)
class Key:
    """Times are epoch seconds UTC; None: never. `models` and `team_models` are globs over model names; empty: all.

    `model_map`: the name that the caller uses → the model that is meant. A higher `priority` is served first.
    """

    id: int
    prefix: str
    name: str
    team: str
    tags: frozenset[str]
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    kind: str = USER
    models: tuple[str, ...] = ()
    team_models: tuple[str, ...] = ()
    model_map: Mapping[str, str] = field(default_factory=dict, hash=False)
    priority: int = 0
    limits: Limits = NONE
    team_limits: Limits = NONE
    rotated_at: float | None = None
    last_used_at: float | None = None  # only in listings

    def alive(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_call(self, model: str) -> bool:
        """Its own globs and its team's must both know the model."""
        if not self.models and not self.team_models:
            return True
        return matches(self.models, model) and matches(self.team_models, model)

    def meant(self, asked: str) -> str:
        """The model that this caller means by that name."""
        return self.model_map.get(asked, asked) if self.model_map else asked

    def state(self, now: float) -> str:
        return "revoked" if self.revoked_at is not None else "living" if self.alive(now) else "expired"


@lru_cache(maxsize=4096)
def matches(globs: tuple[str, ...], model: str) -> bool:
    """`*` stands for any letters, also across a slash. No globs: everything."""
    return not globs or any(_pattern(glob).match(model) for glob in globs)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def mint(kind: str = USER, prefix: str = "") -> tuple[str, str]:
    """(prefix, plaintext) of a new key; with `prefix`, a new secret behind an old one."""
    prefix = prefix or f"{MARKS[kind]}-{secrets.token_hex(4)}"
    return prefix, f"{prefix}-{secrets.token_urlsafe(32)}"


def prefix_of(plaintext: str) -> str:
    """The public part; empty when it does not look like a key."""
    found = PREFIX.match(plaintext)
    return found[0] if found else ""


def fingerprint(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).hexdigest()
