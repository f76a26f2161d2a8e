"""launch.json, read once: what to serve, with which engines in turn, and how patient to be. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lifecycle.runfolder import read_json


class BadOrder(Exception):
    """launch.json is missing or wrong; the text says what."""


@dataclass(frozen=True)
class Limits:
    """Patience, in seconds unless said; launch.json's "limits" may override any of them."""

    beat_s: float = 2  # between two heartbeats
    drain_s: float = 20  # for running requests after SIGTERM; with KillWait Slurm kills after 30 s
    linger_s: float = 1.5  # a gateway needs this long to see that endpoint.json is gone
    stop_s: float = 5  # between an engine's SIGTERM and its SIGKILL
    probe_s: float = 10  # one look at a running engine
    misses: int = 3  # looks in a row without an answer: it is sick
    frozen_s: float = 120  # requests run and no token moves: it is frozen
    restarts: int = 3  # of an engine that was up, in place
    backoff_s: float = 5  # before the first restart; doubles
    steady_s: float = 1800  # up for this long: earlier restarts are forgiven
    port_tries: int = 5
    answer_s: float = 300  # the first answer may have to compile kernels
    bad_answers: int = 5  # errors in a row instead of a first answer


@dataclass(frozen=True)
class Shape:
    """The part of the plan that becomes flags."""

    nodes: int
    tensor: int
    pipeline: int
    data: int
    expert: bool
    context: int
    dtype: str
    trust_remote_code: bool
    expected_load_s: float
    gpu_type: str = ""
    weights_bytes: int = 0


@dataclass(frozen=True)
class Rung:
    """One engine to try. `name` is the runtime's."""

    number: int
    engine: str
    name: str
    argv: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    start_timeout_s: float
    why: str


@dataclass(frozen=True)
class Order:
    model_folder: Path
    served_name: str
    address: str  # how nodes are reached; may hold {node}; empty: the node's own name
    shape: Shape
    ladder: tuple[Rung, ...]
    limits: Limits
    rates: Path | None = None  # where it is written down how long loading took; None: not of interest


def read_order(path: Path) -> Order:
    """Raises BadOrder: no such file, a rung without argv, a value of the wrong kind."""
    data = read_json(path)
    if data is None:
        raise BadOrder(f"{path} is missing or can't be read as JSON")
    try:
        return _order(data)
    except KeyError as error:
        raise BadOrder(f"{path} has no {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BadOrder(f"{path} is wrong: {error}") from None


def _order(data: Mapping[str, Any]) -> Order:
    plan = data["plan"]
    shape = Shape(
        nodes=int(plan.get("nodes", 1)),
        tensor=int(plan.get("tensor_parallel", 1)),
        pipeline=int(plan.get("pipeline_parallel", 1)),
        data=int(plan.get("data_parallel", 1)),
        expert=bool(plan.get("expert_parallel", False)),
        context=int(plan.get("context", 4096)),
        dtype=str(plan.get("dtype") or "auto"),
        trust_remote_code=bool(plan.get("trust_remote_code", False)),
        expected_load_s=float(plan.get("expected_load_s") or 0),
        gpu_type=str(plan.get("gpu_type", "")),
        weights_bytes=int(plan.get("weights_bytes", 0)),
    )
    ladder = tuple(_rung(number, rung) for number, rung in enumerate(data["ladder"]))
    if not ladder:
        raise ValueError("its ladder is empty")
    limits = _limits(data.get("limits") or {})
    folder = Path(data["model_folder"])
    rates = Path(data["rates"]) if data.get("rates") else None
    return Order(folder, data["served_name"], data.get("address") or "", shape, ladder, limits, rates)


def _rung(number: int, rung: Mapping[str, Any]) -> Rung:
    if rung["engine"] not in ("vllm", "transformers"):
        raise ValueError(f"there is no engine {rung['engine']!r}")
    if not rung["argv"]:
        raise ValueError(f"rung {number} has an empty argv")
    return Rung(
        number=number,
        engine=rung["engine"],
        name=rung["runtime"],
        argv=tuple(map(str, rung["argv"])),
        args=tuple(map(str, rung.get("args", ()))),
        environment={str(key): str(value) for key, value in rung.get("environment", {}).items()},
        start_timeout_s=float(rung.get("start_timeout_s", 3600)),
        why=rung.get("why", ""),
    )


def _limits(given: Mapping[str, Any]) -> Limits:
    kinds = {field.name: field.type for field in fields(Limits)}
    if strange := sorted(set(given) - set(kinds)):
        raise ValueError(f"there is no limit {strange[0]!r}")
    return Limits(**{name: kinds[name](value) for name, value in given.items()})
