"""What a quantized copy will be like, and what making it takes. Pure; the numbers are those of llm-compressor.

Weights of linear layers shrink; embeddings and the head stay as they are. Making it holds the whole model in one node's
memory; a GPU, where there is one, sees one layer at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from batch.planning.anatomy import Anatomy, anatomy
from batch.planning.layouts import USABLE
from batch.planning.sentences import bytes_text
from lifecycle.errors import Refused
from lifecycle.models import ModelFacts
from lifecycle.sections.cluster import Gpu
from lifecycle.settings import Settings

GROUPS = (128, 64, 32)
"""Weights that share one scale in four bits; the first that divides every layer is taken."""

HOST_SHARE, HOST_MORE = 1.25, 4 * 2**30
"""Node memory: the model once, a quarter more for what is being packed, and the libraries."""

ACTIVATION_WIDTH = 48
"""Bytes per token and hidden unit that calibrating one layer holds on the GPU, generously."""


@dataclass(frozen=True)
class Scheme:
    """`share` of a 16-bit weight's bytes that is left, scales included. `calibrated`: looks at prompts."""

    name: str
    dtype: str
    share: float
    calibrated: bool
    grouped: bool
    described: Mapping[str, Any]


def _weights(bits: int, kind: str, strategy: str) -> dict[str, Any]:
    return {"num_bits": bits, "type": kind, "strategy": strategy}


SCHEMES = {
    "fp8": Scheme("fp8", "fp8", 0.505, False, False, _weights(8, "float", "channel")),
    "awq": Scheme("awq", "int4", 0.275, True, True, _weights(4, "int", "group")),
    "gptq": Scheme("gptq", "int4", 0.27, True, True, _weights(4, "int", "group")),
}


@dataclass(frozen=True)
class Needs:
    """Bytes of one node's memory, and of one GPU (0: none is used); `gpu_type` to ask for."""

    host: int
    gpu: int
    gpu_type: str


def scheme_of(name: str) -> Scheme:
    """Refused with the names there are."""
    if name not in SCHEMES:
        raise Refused(f"There is no way to quantize called {name!r}.", f"Choose {', '.join(SCHEMES)}.")
    return SCHEMES[name]


def foreseen(facts: ModelFacts, scheme: Scheme) -> ModelFacts:
    """The facts of the copy that would be made of this model. Refused when it can't be made, or is small already."""
    if facts.quantization:
        raise Refused(
            f"{facts.repo} is quantized already ({facts.quantization}).", "Quantize the repository it was made from."
        )
    if not facts.has_safetensors or facts.needs_remote_code:
        why = "has its weights as pickle files" if not facts.has_safetensors else "brings code of its own"
        raise Refused(f"{facts.repo} {why}, which a quantize job does not run.", "Look for an official quantized copy.")
    model = anatomy(facts.config)
    tables = min(facts.weights_bytes, _tables(model))
    described = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": scheme.described}}}
    if scheme.grouped:
        described["group_size"] = group_size(model, facts.repo)
    return replace(
        facts,
        revision=f"{facts.revision}-{scheme.name}",
        dtype=scheme.dtype,
        quantization="compressed-tensors",
        weights_bytes=tables + round((facts.weights_bytes - tables) * scheme.share),
        config={**facts.config, "quantization_config": described},
    )


def _tables(model: Anatomy) -> int:
    return model.vocab * model.hidden * 2 * (1 if model.tied else 2)


def group_size(model: Anatomy, repo: str) -> int:
    """The largest group that divides the width of every layer. Refused when none does."""
    widths = (model.hidden, *model.slices)
    for size in GROUPS:
        if not any(width % size for width in widths):
            return size
    raise Refused(
        f"The layers of {repo} ({', '.join(map(str, widths))} wide) can't be cut in groups of {GROUPS[-1]} weights.",
        "Say --quant fp8, which needs no groups.",
    )


def needs(facts: ModelFacts, scheme: Scheme, settings: Settings) -> Needs:
    """What the job asks for. Refused when no node has so much memory, or no GPU holds a layer."""
    host = round(facts.weights_bytes * HOST_SHARE) + HOST_MORE
    most = _node_memory(settings)
    if most and host > most:
        raise Refused(
            f"Quantizing {facts.repo} needs {bytes_text(host)} of one node's memory, and the largest has "
            f"{bytes_text(most)}.",
            "Look for an official quantized copy (`--to org/name`), or set quantize.host_memory.",
        )
    if not settings.quantize.gpus:
        return Needs(host, 0, "")
    model = anatomy(facts.config)
    layer = facts.weights_bytes // model.layers
    activations = settings.quantize.sample_tokens * model.hidden * ACTIVATION_WIDTH if scheme.calibrated else 0
    name, gpu = _smallest(settings, facts.repo, 2 * layer + activations)
    return Needs(host, 2 * layer + activations + gpu.overhead, name)


def _node_memory(settings: Settings) -> int:
    if settings.quantize.host_memory:
        return settings.quantize.host_memory
    return max((gpu.host_memory * gpu.per_node for gpu in settings.cluster.gpus.values()), default=0)


def _smallest(settings: Settings, repo: str, wanted: int) -> tuple[str, Gpu]:
    gpus = sorted(settings.cluster.gpus.items(), key=lambda pair: (pair[1].memory, pair[0]))
    for name, gpu in gpus:
        if wanted + gpu.overhead <= gpu.memory * USABLE:
            return name, gpu
    most = gpus[-1][1].memory if gpus else 0
    raise Refused(
        f"Quantizing {repo} needs {bytes_text(wanted)} on one GPU for a single layer, and the largest has "
        f"{bytes_text(most)}.",
        "Set quantize.gpus to 0: it takes longer on CPUs.",
    )
