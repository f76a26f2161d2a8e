"""Plan: exactly how one model revision would be served. A frozen value: what is approved is what is submitted."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lifecycle.jobs import Forecast, Victim


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One attempt of the launcher's ladder: an engine in an environment, with the flags that belong to it."""

    engine: str  # "vllm" or "transformers"
    runtime: str  # key of [runtimes.<name>] in the settings
    args: tuple[str, ...] = ()  # extra flags, one list element each
    why: str = ""  # shown when the ladder reaches it


@dataclass(frozen=True, kw_only=True)
class Quantizing:
    """How the weights of a plan are made, of those of the same model at another commit."""

    made_from: str  # that commit
    scheme: str  # fp8, awq, gptq
    group_size: int = 0  # weights that share one scale; 0: a whole channel
    host_memory: int = 0  # bytes of one node's memory
    gpu_type: str = ""  # empty: on CPUs


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes in bytes, times in seconds. One replica = nodes × gpus_per_node GPUs = tensor × pipeline × data."""

    model: str
    revision: str
    partition: str
    account: str
    qos: str
    gpu_type: str
    nodes: int
    gpus_per_node: int
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int = 1
    expert_parallel: bool = False
    dtype: str = "bfloat16"
    quantization: str | None = None
    context: int = 4096
    weights_bytes: int = 0
    memory_per_gpu: int = 0  # estimate of what is used on each GPU
    gpu_memory: int = 0  # what each GPU has
    walltime_s: int = 86400  # of one job
    lasts_s: float | None = None  # from its first preview on it serves so long, then it is retired; None: no end
    ladder: tuple[Rung, ...] = ()
    image: str = ""  # what {image} in a runtime's command stands for; empty: no runtime of the ladder asks
    image_digest: str = ""
    overlay: str = ""  # packages that go before the image's, for this deployment alone: a fork, a commit
    quantizing: Quantizing | None = None  # how its weights are made here; None: they are downloaded
    trust_remote_code: bool = False
    allow_pickle: bool = False
    expected_load_s: float | None = None
    forecast: Forecast | None = None
    reasons: tuple[str, ...] = ()  # why these sizes, in plain sentences

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def digest(self) -> str:
        """Of everything but the forecast, which changes by the minute. 12 hex digits."""
        body = asdict(replace(self, forecast=None))
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        forecast = data.get("forecast")
        if forecast is not None:
            victims = tuple(Victim(**v) for v in forecast["victims"])
            forecast = Forecast(starts_at=forecast["starts_at"], victims=victims, note=forecast["note"])
        ladder = tuple(Rung(**{**rung, "args": tuple(rung["args"])}) for rung in data.get("ladder", ()))
        quantizing = Quantizing(**data["quantizing"]) if data.get("quantizing") else None
        data = {**data, "quantizing": quantizing}
        return cls(**{**data, "forecast": forecast, "ladder": ladder, "reasons": tuple(data.get("reasons", ()))})
