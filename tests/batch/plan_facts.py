"""Facts of published models, for the planner's tests: tests/data/model_facts.json, sizes in bytes.

Configs cut down to the keys that matter. `kv_bytes_per_token` is what the whole model keeps for one token in 16 bits,
computed from the config by hand. `weights_bytes` null: not known to us.
"""

import json
from pathlib import Path

from batch import facts_config
from lifecycle.models import ModelFacts
from lifecycle.sections.cluster import Cluster, Gpu, Guards
from lifecycle.sections.serving import Runtime, Serving
from lifecycle.settings import Settings

GB = 10**9
ROWS = json.loads((Path(__file__).parents[1] / "data" / "model_facts.json").read_text())
BY_ID = {row["id"]: row for row in ROWS}
SIZED = [row["id"] for row in ROWS if row["weights_bytes"]]
RUNTIMES = {
    "vllm": Runtime(engine="vllm", command=("vllm",)),
    "transformers": Runtime(engine="transformers", command=("transformers",)),
}


def facts_of(name: str, **changes: object) -> ModelFacts:
    row = BY_ID[name]
    config, hf_quant = row["config"], row.get("hf_quant_config")
    facts = {
        "repo": name,
        "revision": "a" * 40,
        "config": config,
        "weights_bytes": row["weights_bytes"] or 10 * GB,
        "has_safetensors": True,
        "dtype": facts_config.dtype(config, hf_quant),
        "quantization": facts_config.quantization(config, hf_quant),
        "context": facts_config.context(config),
        "needs_remote_code": facts_config.needs_remote_code(config),
    }
    return ModelFacts(**{**facts, **changes})


def cluster(*gpus: tuple[str, float, int], overhead: int = 4 * 2**30, max_nodes: int = 8, **more: object) -> Settings:
    """Settings of a cluster with these (GPU type, GB of memory, GPUs a node). `more`: context, concurrency, across."""
    kinds = {name: Gpu(memory=int(size * GB), per_node=n, overhead=overhead) for name, size, n in gpus}
    serving = {key: more[key] for key in ("context", "concurrency") if key in more}
    return Settings(
        cluster=Cluster(
            gpus=kinds,
            guards=Guards(max_nodes=max_nodes),
            tensor_parallel_across_nodes=bool(more.get("across", False)),
        ),
        runtimes=RUNTIMES,
        serving=Serving(**serving),
    )
