"""FP8 on the fly: vLLM quantizes 16-bit weights while it loads them; what lies on disk stays as it is. Pure.

No other copy is fetched and none is made, so it is there at once; the price is a load that holds each GPU's share of
the 16-bit weights for a moment, which the plan leaves room for.
"""

from collections.abc import Mapping
from dataclasses import replace

from batch.planning import planner
from batch.planning.layouts import USABLE
from lifecycle.errors import Refused
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.settings import Settings

SCHEME = "fp8"
LEFT = 0.52
"""Share of the bytes that is left: linear layers shrink to half, embeddings, norms and the head do not."""

OF_16_BITS = frozenset({"bfloat16", "float16"})


def plan(facts: ModelFacts, settings: Settings, wishes: Mapping[str, object]) -> Plan:
    """The plan of the same commit, served in FP8. Refused where vLLM is no rung, or the weights are small already."""
    if facts.quantization or (facts.dtype or "bfloat16") not in OF_16_BITS:
        kind = facts.quantization or facts.dtype
        raise Refused(f"{facts.repo} is {kind} already.", "Deploy it without --quant.")
    small = replace(facts, dtype=SCHEME, quantization=SCHEME, weights_bytes=round(facts.weights_bytes * LEFT))
    made = planner.plan(small, settings, wishes)
    if not _loads(facts, made):
        whole = planner.plan(facts, settings, wishes)  # its GPUs hold the 16-bit weights by themselves
        made = planner.plan(small, settings, {**wishes, "nodes": whole.nodes, "gpus": whole.gpus_per_node})
    ladder = tuple(
        replace(rung, args=(*rung.args, "--quantization", SCHEME)) for rung in made.ladder if rung.engine == "vllm"
    )
    if not ladder:
        raise Refused("Only vLLM quantizes while it loads, and no runtime of the ladder is vLLM.", "Add one.")
    said = "vLLM quantizes its weights to FP8 while it loads them; the files stay as they are."
    return replace(made, ladder=ladder, reasons=(said, *made.reasons))


def _loads(facts: ModelFacts, made: Plan) -> bool:
    """Is there room for the 16-bit weights while they are loaded?"""
    return facts.weights_bytes / made.gpus <= made.gpu_memory * USABLE
