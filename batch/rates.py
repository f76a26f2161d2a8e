"""How fast weights really come here, from the Hub and into GPUs: written down by the jobs, read by the planner.

    models/.rates/load-<job>.json      {"gpu_type", "nodes", "bytes", "weights_s", "load_s"}, of one server that came up
    models/.rates/fetch-<job>.json     {"bytes", "seconds"}, of one task that downloaded

Standard library only: nodes write here. Small ones tell nothing about a file system, and are not written down.
"""

import contextlib
import statistics
from dataclasses import dataclass
from pathlib import Path

from lifecycle.runfolder import read_json, safe_name, write_json

LEAST = 10**9
"""Bytes that must have been read before their rate is believed: less comes out of a cache."""

NEWEST = 30
"""So many of each kind count; file systems and wires change."""

ASSUMED_LOAD = 2**30
"""Bytes a second from a shared file system into one node, until something was measured."""

ASSUMED_START_S = 45.0


@dataclass(frozen=True)
class Rates:
    """Medians. `load`: bytes/s into one node; `start_s`: what an engine takes besides; `fetch`: bytes/s of one download
    task, None when none was measured; `loads`, `fetches`: of how many; 0: assumed."""

    load: float = ASSUMED_LOAD
    start_s: float = ASSUMED_START_S
    loads: int = 0
    fetch: float | None = None
    fetches: int = 0


def folder(shared: Path) -> Path:
    return shared / "models" / ".rates"


def note_load(where: Path, job: str, gpu_type: str, nodes: int, size: int, weights_s: float, load_s: float) -> None:
    """A server has come up: `weights_s` of its `load_s` seconds went into reading `size` bytes on all nodes."""
    if size >= LEAST and weights_s > 0:
        _note(where / f"load-{safe_name(job)}.json", gpu_type=gpu_type, nodes=nodes, bytes=size,
              weights_s=weights_s, load_s=load_s)  # fmt: skip


def note_fetch(where: Path, job: str, size: int, seconds: float) -> None:
    """A task has downloaded `size` bytes."""
    if size >= LEAST and seconds > 0:
        _note(where / f"fetch-{safe_name(job)}.json", bytes=size, seconds=seconds)


def _note(path: Path, **document: object) -> None:
    with contextlib.suppress(OSError):  # a plan that assumes is worse, but no reason to end anything
        write_json(path, document)


def measured(shared: Path, gpu_type: str) -> Rates:
    """What was measured with this GPU type, and of all downloads."""
    loads = [one for one in _newest(shared, "load") if one.get("gpu_type") == gpu_type][:NEWEST]
    fetches = _newest(shared, "fetch")[:NEWEST]
    rates = Rates()
    if loads:
        rates = Rates(
            load=statistics.median(one["bytes"] / one["nodes"] / one["weights_s"] for one in loads),
            start_s=statistics.median(max(0.0, one["load_s"] - one["weights_s"]) for one in loads),
            loads=len(loads),
        )
    if fetches:
        fetch = statistics.median(one["bytes"] / one["seconds"] for one in fetches)
        rates = Rates(rates.load, rates.start_s, rates.loads, fetch, len(fetches))
    return rates


def _newest(shared: Path, kind: str) -> list[dict]:
    found = [one for path in folder(shared).glob(f"{kind}-*.json") if (one := read_json(path))]
    return sorted(found, key=lambda one: -one["at"])
