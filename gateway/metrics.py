"""GET /metrics in Prometheus' text format.

The figures come out of the ledger, not out of a worker's memory: whichever worker is asked, and however often any of
them was restarted, the counters are the same and only grow.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.ledger.sums import BUCKETS_S, EVER_OF, EVER_SUMS, ever_of_rows
from gateway.registry import ALIVE_S
from gateway.routing import Table
from gateway.store import StoreError, Where, read_only

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
COUNTERS = (
    ("requests", "Requests that were answered or tried"),
    ("prompt_tokens", "Tokens read"),
    ("completion_tokens", "Tokens written"),
    ("cost", "In the currency of the prices"),
)
HISTOGRAMS = (("ttft", "ttft_count", "To the first byte of the answer"), ("duration", "requests", "To the last byte"))

Sums = Mapping[tuple[str, str, int], Mapping[str, float]]

_EVER = f"""
    SELECT {", ".join(EVER_OF)}, {", ".join(f"sum({name})" for name in EVER_SUMS)}
    FROM (SELECT {", ".join((*EVER_OF, *EVER_SUMS))} FROM usage_ever
          UNION ALL {ever_of_rows("id > (SELECT id FROM rolled)")}) AS ever
    GROUP BY {", ".join(EVER_OF)} ORDER BY {", ".join(EVER_OF)}"""
_ALIVE = "SELECT count(*), coalesce(sum(busy), 0) FROM workers WHERE seen_at > ?"
_WAITING = "SELECT deployment_id, sum(waiting) FROM load WHERE at > ? GROUP BY deployment_id"
_REFUSED = "SELECT whose, what, requests FROM refused ORDER BY whose, what"


@dataclass(frozen=True)
class Figures:
    """Of all workers: sums by model, provider and status; how many live; requests that run; those that wait, by
    deployment; those that limits refused, by whose limit and which."""

    sums: Sums
    workers: int
    running: int
    waiting: Mapping[str, int]
    refused: Mapping[tuple[str, str], int]


def read(store: Where) -> Figures:
    """StoreError when it can't be read."""
    connection = read_only(store)
    try:
        rows = connection.execute(_EVER).fetchall()
        alive = time.time() - ALIVE_S
        workers, running = connection.execute(_ALIVE, (alive,)).fetchone()
        waiting = {row[0]: row[1] for row in connection.execute(_WAITING, (alive,))}
        refused = {(row[0], row[1]): row[2] for row in connection.execute(_REFUSED)}
    finally:
        connection.close()
    sums = {tuple(row[:3]): dict(zip(EVER_SUMS, row[3:], strict=True)) for row in map(tuple, rows)}
    return Figures(sums, workers, running, waiting, refused)


def render(store: Where, table: Table, problem: str) -> bytes:
    """The whole answer. Reads the ledger: call it in a thread. Without a readable ledger only `dayzero_ready` 0."""
    try:
        found = read(store)
    except StoreError:
        return "\n".join(_metric("ready", "gauge", "1: the gateway can answer", [("", 0)])).encode() + b"\n"
    lines = [
        *_metric("ready", "gauge", "1: the gateway can answer", [("", int(not problem))]),
        *_metric("workers", "gauge", "Processes that answer", [("", found.workers)]),
        *_metric("requests_running", "gauge", "Requests being answered, a second ago at most", [("", found.running)]),
        *_metric("routing_generation", "gauge", "Of the ledger's routing, in this worker", [("", table.generation)]),
        *_metric(
            "servers",
            "gauge",
            "Servers that are UP",
            [(_labels(model=d.model, deployment=d.id, tag=d.tag), len(d.endpoints)) for d in table.served],
        ),
    ]
    lines += _metric(
        "requests_waiting",
        "gauge",
        "In line for a server, a second ago at most",
        [(_labels(model=d.model, deployment=d.id), found.waiting.get(d.id, 0)) for d in table.served],
    )
    refused = [(_labels(whose=whose, limit=what), count) for (whose, what), count in found.refused.items()]
    lines += _metric("refused_total", "counter", "Requests that a limit refused, by whose limit", refused)
    sums = found.sums
    keys = {key: _labels(model=key[0], provider=key[1], status=key[2]) for key in sums}
    for name, what in COUNTERS:
        lines += _metric(f"{name}_total", "counter", what, [(keys[key], row[name]) for key, row in sums.items()])
    for name, count, what in HISTOGRAMS:
        lines += _histogram(name, count, what, sums)
    return "\n".join(lines).encode() + b"\n"


def _histogram(name: str, count: str, what: str, sums: Sums) -> Iterator[str]:
    yield f"# HELP dayzero_{name}_seconds {what}"
    yield f"# TYPE dayzero_{name}_seconds histogram"
    edges = [*map(str, BUCKETS_S), "+Inf"]
    for (model, provider, status), row in sums.items():
        below = [*(row[f"{name}_le_{n}"] for n in range(len(BUCKETS_S))), row[count]]
        for edge, value in zip(edges, below, strict=True):
            labels = _labels(model=model, provider=provider, status=status, le=edge)
            yield f"dayzero_{name}_seconds_bucket{labels} {value}"
        labels = _labels(model=model, provider=provider, status=status)
        yield f"dayzero_{name}_seconds_sum{labels} {row[f'{name}_s']!r}"
        yield f"dayzero_{name}_seconds_count{labels} {row[count]}"


def _metric(name: str, kind: str, what: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP dayzero_{name} {what}"
    yield f"# TYPE dayzero_{name} {kind}"
    for labels, value in values:
        yield f"dayzero_{name}{labels} {int(value) if value == int(value) else repr(value)}"


def _labels(**labels: object) -> str:
    escaped = {k: str(v).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for k, v in labels.items()}
    return "{" + ",".join(f'{k}="{v}"' for k, v in escaped.items()) + "}"
