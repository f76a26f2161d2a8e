"""GET /metrics in Prometheus' text format.

The figures come out of the ledger, not out of a worker's memory: whichever worker is asked, and however often any of
them was restarted, the counters are the same and only grow.
"""

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.registry import ALIVE_S
from gateway.routing import Table
from gateway.store import read_only

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_BELOW = ", ".join(f"sum({column} <= {b})" for column in ("ttft_s", "duration_s") for b in BUCKETS_S)
FOLD = f"""
    SELECT model, provider, status, count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost),
           sum(ttft_s), count(ttft_s), sum(duration_s), count(duration_s), {_BELOW}
    FROM usage WHERE id > ? AND id <= ? GROUP BY model, provider, status"""


class Tally:
    """Sums of all usage rows. Each `fold` reads only those that are new; the first reads them all."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._last = 0
        self._sums: dict[tuple[str, str, int], list[float]] = defaultdict(lambda: [0.0] * (8 + 2 * len(BUCKETS_S)))

    def fold(self) -> tuple[dict[tuple[str, str, int], list[float]], int, int]:
        """(sums by model, provider, status; workers alive; requests running in them). Any thread; sqlite3.Error."""
        with self._lock:
            connection = read_only(self._path)
            try:
                newest = connection.execute("SELECT coalesce(max(id), 0) FROM usage").fetchone()[0]
                for row in connection.execute(FOLD, (self._last, newest)).fetchall():
                    sums = self._sums[tuple(row[:3])]
                    for n, value in enumerate(row[3:]):
                        sums[n] += value or 0
                self._last = newest
                alive = "SELECT count(*), coalesce(sum(busy), 0) FROM workers WHERE seen_at > ?"
                workers, busy = connection.execute(alive, (time.time() - ALIVE_S,)).fetchone()
                return {key: list(sums) for key, sums in self._sums.items()}, workers, busy
            finally:
                connection.close()


def render(tally: Tally, table: Table, problem: str) -> bytes:
    """The whole answer. Reads the ledger: call it in a thread. Without a readable ledger only `dayzero_ready` 0."""
    try:
        sums, workers, busy = tally.fold()
    except sqlite3.Error:
        return "\n".join(_metric("ready", "gauge", "1: the gateway can answer", [("", 0)])).encode() + b"\n"
    lines = [
        *_metric("ready", "gauge", "1: the gateway can answer", [("", int(not problem))]),
        *_metric("workers", "gauge", "Processes that answer", [("", workers)]),
        *_metric("requests_running", "gauge", "Requests being answered, a second ago at most", [("", busy)]),
        *_metric("routing_generation", "gauge", "Of the ledger's routing, in this worker", [("", table.generation)]),
        *_metric(
            "servers",
            "gauge",
            "Servers that are UP",
            [(_labels(model=d.model, deployment=d.id, tag=d.tag), len(d.endpoints)) for d in table.served],
        ),
    ]
    keys = {key: _labels(model=key[0], provider=key[1], status=key[2]) for key in sums}
    for n, (name, what) in enumerate(
        [
            ("requests", "Requests that were answered or tried"),
            ("prompt_tokens", "Tokens read"),
            ("completion_tokens", "Tokens written"),
            ("cost", "In the currency of the prices"),
        ]
    ):
        lines += _metric(f"{name}_total", "counter", what, [(keys[key], values[n]) for key, values in sums.items()])
    for n, (name, what) in enumerate([("ttft", "To the first byte of the answer"), ("duration", "To the last byte")]):
        lines += _histogram(f"{name}_seconds", what, sums, 4 + 2 * n, 8 + n * len(BUCKETS_S))
    return "\n".join(lines).encode() + b"\n"


def _histogram(
    name: str, what: str, sums: dict[tuple[str, str, int], list[float]], total: int, first: int
) -> Iterator[str]:
    yield f"# HELP dayzero_{name} {what}"
    yield f"# TYPE dayzero_{name} histogram"
    for (model, provider, status), values in sums.items():
        edges = [*map(str, BUCKETS_S), "+Inf"]
        for edge, value in zip(edges, [*values[first : first + len(BUCKETS_S)], values[total + 1]], strict=True):
            yield f"dayzero_{name}_bucket{_labels(model=model, provider=provider, status=status, le=edge)} {value:g}"
        labels = _labels(model=model, provider=provider, status=status)
        yield f"dayzero_{name}_sum{labels} {values[total]!r}"
        yield f"dayzero_{name}_count{labels} {int(values[total + 1])}"


def _metric(name: str, kind: str, what: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP dayzero_{name} {what}"
    yield f"# TYPE dayzero_{name} {kind}"
    for labels, value in values:
        yield f"dayzero_{name}{labels} {int(value) if value == int(value) else repr(value)}"


def _labels(**labels: object) -> str:
    escaped = {k: str(v).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for k, v in labels.items()}
    return "{" + ",".join(f'{k}="{v}"' for k, v in escaped.items()) + "}"
