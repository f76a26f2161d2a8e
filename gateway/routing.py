"""Routing: what the ledger says can be called, as an immutable table, and who sees which name.

A model is called by its id (org/name), by a deployment's id, or by a tag's name: `preview` and `stable` are the newest
deployment with that tag. A key sees only deployments whose tag it holds.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lifecycle.deployments import CANDIDATE_TAG, PREVIEW_TAG, STABLE_TAG, TAG_OF

PREFERENCE = (STABLE_TAG, PREVIEW_TAG, CANDIDATE_TAG)
"""One name under several tags: the first of these that the key may see."""

ALIASES = (STABLE_TAG, PREVIEW_TAG)


@dataclass(frozen=True)
class Endpoint:
    """A live URL of a server. `url` has no /v1."""

    id: int
    url: str
    backend_model: str
    engine: str
    up_since: float


@dataclass(frozen=True)
class Served:
    """A deployment as the gateway sees it. Without endpoints its server is (for now) not up."""

    id: str
    model: str
    revision: str
    tag: str
    tag_since: float
    weight: float
    gpus: int  # of one server
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True)
class Table:
    generation: int = 0
    served: tuple[Served, ...] = ()
    _by_id: Mapping[str, Served] = field(default_factory=dict, repr=False)
    _by_model: Mapping[str, Mapping[str, tuple[Served, ...]]] = field(default_factory=dict, repr=False)
    _newest: Mapping[str, Served] = field(default_factory=dict, repr=False)
    _found: dict[tuple[str, frozenset[str]], tuple[Served, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, generation: int, served: Collection[Served]) -> "Table":
        by_model: dict[str, dict[str, list[Served]]] = defaultdict(lambda: defaultdict(list))
        newest: dict[str, Served] = {}
        for one in served:
            by_model[one.model][one.tag].append(one)
            if one.tag not in newest or newest[one.tag].tag_since < one.tag_since:
                newest[one.tag] = one
        frozen = {model: {tag: tuple(them) for tag, them in tags.items()} for model, tags in by_model.items()}
        return cls(generation, tuple(served), {one.id: one for one in served}, frozen, newest)

    def find(self, name: str, tags: Collection[str]) -> tuple[Served, ...]:
        """The deployments that may answer to that name for a key with these tags; empty: it sees no such name."""
        known = (name, tags) if isinstance(tags, frozenset) else None
        if known is not None and (found := self._found.get(known)) is not None:
            return found
        found = self._find(name, tags)
        if found and known is not None:  # only what exists: callers can invent names without end
            self._found[known] = found
        return found

    def _find(self, name: str, tags: Collection[str]) -> tuple[Served, ...]:
        if (model := self._by_model.get(name)) is not None:
            visible = [model[tag] for tag in PREFERENCE if tag in tags and tag in model]
            up = [them for them in visible if any(one.endpoints for one in them)]
            return (up or visible or [()])[0]
        if name in tags and name in ALIASES and name in self._newest:
            return (self._newest[name],)
        if (one := self._by_id.get(name)) is not None and one.tag in tags:
            return (one,)
        return ()

    def models(self, tags: Collection[str]) -> dict[str, tuple[Served, ...]]:
        """Every model id that a key with these tags may call, with the deployments that answer."""
        found = {name: self.find(name, tags) for name in sorted(self._by_model)}
        return {name: them for name, them in found.items() if them}

    def aliases(self, tags: Collection[str]) -> dict[str, Served]:
        return {tag: self._newest[tag] for tag in ALIASES if tag in tags and tag in self._newest}


def generation_of(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT generation FROM routing").fetchone()[0]


def read(connection: sqlite3.Connection) -> Table:
    """The whole table in one read transaction, so that the generation belongs to the rows."""
    connection.execute("BEGIN")
    try:
        generation = generation_of(connection)
        endpoints = defaultdict(list)
        for row in connection.execute("SELECT * FROM routes ORDER BY endpoint_id"):
            endpoint = Endpoint(row["endpoint_id"], row["url"], row["backend_model"], row["engine"], row["up_since"])
            endpoints[row["deployment_id"]].append(endpoint)
        states = list(TAG_OF)
        marks = ", ".join("?" * len(states))
        deployments = connection.execute(
            f"SELECT id, model, revision, state, since, weight, plan FROM deployments WHERE state IN ({marks})", states
        ).fetchall()
    finally:
        connection.execute("ROLLBACK")
    served = [
        Served(
            id=row["id"],
            model=row["model"],
            revision=row["revision"],
            tag=TAG_OF[row["state"]],
            tag_since=row["since"],
            weight=row["weight"],
            gpus=_gpus(row["plan"]),
            endpoints=tuple(endpoints[row["id"]]),
        )
        for row in deployments
    ]
    return Table.of(generation, served)


def _gpus(plan: str) -> int:
    sizes = json.loads(plan)
    return int(sizes.get("nodes", 1)) * int(sizes.get("gpus_per_node", 1))
