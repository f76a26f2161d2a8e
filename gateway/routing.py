"""Routing: what the ledger says can be called, as an immutable table, and who sees which name.

A model is called by its id (org/name), by a deployment's id, or by a tag's name: `preview` and `stable` are the newest
deployment with that tag. A key sees only deployments whose tag it holds.

While a swap is on, the successor answers to its elder's names by weight, and whenever no server of the elder does.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from lifecycle.deployments import CANDIDATE_TAG, PREVIEW_TAG, STABLE_TAG, TAG_OF
from lifecycle.swaps import OPEN, STANDS_IN

PREFERENCE = (STABLE_TAG, PREVIEW_TAG, CANDIDATE_TAG)
"""One name under several tags: the first of these that the key may see."""

UNKNOWN_WAKE_S = 300
"""When nothing is known about how long a model takes to load."""

ALIASES = (STABLE_TAG, PREVIEW_TAG)

SLEEPERS = f"SELECT deployment_id, coalesce(wake_s, {UNKNOWN_WAKE_S}) AS wake_s FROM sleepers"


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
    wake_s: float | None = None  # it sleeps, and would be up so long after somebody wants it
    aliases: tuple[str, ...] = ()  # models that it has replaced
    elder: str = ""  # whom it is to replace; only the swap says what it answers to beside its own names
    stands_in: bool = False  # it may answer for the elder

    @property
    def names(self) -> tuple[str, ...]:
        return (self.model, *self.aliases)


@dataclass(frozen=True)
class Table:
    generation: int = 0
    served: tuple[Served, ...] = ()
    _by_id: Mapping[str, Served] = field(default_factory=dict, repr=False)
    _by_model: Mapping[str, Mapping[str, tuple[Served, ...]]] = field(default_factory=dict, repr=False)
    _newest: Mapping[str, Served] = field(default_factory=dict, repr=False)
    _standing_in: Mapping[str, Served] = field(default_factory=dict, repr=False)  # for the elder of this id
    _patterns: Mapping[str, str] = field(default_factory=dict, repr=False)
    _found: dict[tuple[str, frozenset[str]], tuple[Served, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, generation: int, served: Collection[Served], patterns: Mapping[str, str] | None = None) -> "Table":
        """`patterns`: name → pattern over models; the newest that matches and is up answers to the name."""
        by_model: dict[str, dict[str, list[Served]]] = defaultdict(lambda: defaultdict(list))
        newest: dict[str, Served] = {}
        by_id = {one.id: one for one in served}
        for one in served:
            elder = by_id.get(one.elder)
            for name in sorted({*one.names}.difference(elder.names if elder else ())):
                by_model[name][one.tag].append(one)
            if elder is not None:
                continue
            if one.tag not in newest or newest[one.tag].tag_since < one.tag_since:
                newest[one.tag] = one
        frozen = {model: {tag: tuple(them) for tag, them in tags.items()} for model, tags in by_model.items()}
        standing_in = {one.elder: one for one in served if one.stands_in and one.elder in by_id}
        return cls(generation, tuple(served), by_id, frozen, newest, standing_in, patterns or {})

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
            visible = [self._with_successors(model[tag]) for tag in PREFERENCE if tag in tags and tag in model]
            up = [them for them in visible if any(one.endpoints for one in them)]
            return (up or visible or [()])[0]
        if name in tags and name in ALIASES and name in self._newest:
            return self._with_successors((self._newest[name],))
        if (one := self._by_id.get(name)) is not None and one.tag in tags:
            return (one,)
        if (pattern := self._patterns.get(name)) is not None:
            return self._newest_of(pattern, tags)
        return ()

    def _newest_of(self, pattern: str, tags: Collection[str]) -> tuple[Served, ...]:
        matching = [self._find(model, tags) for model in self._by_model if fnmatchcase(model, pattern)]
        matching = [them for them in matching if them]
        up = [them for them in matching if any(one.endpoints for one in them)]
        return max(up or matching, key=lambda them: max(one.tag_since for one in them), default=())

    def _with_successors(self, them: tuple[Served, ...]) -> tuple[Served, ...]:
        return (*them, *(self._standing_in[one.id] for one in them if one.id in self._standing_in))

    def models(self, tags: Collection[str]) -> dict[str, tuple[Served, ...]]:
        """Every model id that a key with these tags may call, with the deployments that answer."""
        found = {name: self.find(name, tags) for name in sorted(self._by_model)}
        return {name: them for name, them in found.items() if them}

    def aliases(self, tags: Collection[str]) -> dict[str, Served]:
        """The other names under which such a key may call something, with the newest deployment that answers."""
        found = {tag: self._newest[tag] for tag in ALIASES if tag in tags and tag in self._newest}
        for name in self._patterns:
            if name not in found and name not in self._by_model and (them := self.find(name, tags)):
                found[name] = max(them, key=lambda one: one.tag_since)
        return found


def generation_of(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT generation FROM routing").fetchone()[0]


def read(connection: sqlite3.Connection, patterns: Mapping[str, str] | None = None) -> Table:
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
        columns = "id, model, revision, state, since, weight, plan, aliases"
        query = f"SELECT {columns} FROM deployments WHERE state IN ({marks})"
        deployments = connection.execute(query, states).fetchall()
        sleepers = {row["deployment_id"]: row["wake_s"] for row in connection.execute(SLEEPERS)}
        marks = ", ".join("?" * len(OPEN))
        swaps = connection.execute(f"SELECT successor, elder, state FROM swaps WHERE state IN ({marks})", OPEN)
        elders = {row["successor"]: (row["elder"], row["state"] in STANDS_IN) for row in swaps}
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
            wake_s=sleepers.get(row["id"]),
            aliases=tuple(json.loads(row["aliases"])),
            elder=elders.get(row["id"], ("", False))[0],
            stands_in=TAG_OF[row["state"]] != CANDIDATE_TAG and elders.get(row["id"], ("", False))[1],
        )
        for row in deployments
    ]
    return Table.of(generation, served, patterns)


def _gpus(plan: str) -> int:
    sizes = json.loads(plan)
    return int(sizes.get("nodes", 1)) * int(sizes.get("gpus_per_node", 1))
