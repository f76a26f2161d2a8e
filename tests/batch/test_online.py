"""FP8 while it loads: fewer GPUs than the 16-bit weights need with their cache, never fewer than they need to load."""

from dataclasses import replace

import pytest

from batch.planning import online, planner
from lifecycle.errors import Refused
from lifecycle.models import ModelFacts
from lifecycle.sections.cluster import Cluster, Gpu, Guards
from lifecycle.sections.serving import Runtime, Serving
from lifecycle.settings import Settings

GIB = 2**30
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip
MODEL = ModelFacts(
    repo="acme/Big", revision="a" * 40, dtype="bfloat16", context=131072, weights_bytes=141 * 10**9,
    has_safetensors=True, config=CONFIG,
)  # fmt: skip


def settings(memory: int = 80 * GIB, ladder: tuple[str, ...] = ("vllm", "transformers")) -> Settings:
    runtimes = {name: Runtime(engine=name, command=(name, "serve")) for name in ladder}
    cluster = Cluster(gpus={"h100": Gpu(memory=memory, per_node=8)}, guards=Guards(max_nodes=2))
    return Settings(cluster=cluster, runtimes=runtimes, serving=Serving(ladder=ladder))


def test_it_takes_fewer_gpus_and_only_vllm() -> None:
    """The same commit, half the weights, the flag on each vLLM rung, no other engine, and a reason in words."""
    plain, small = planner.plan(MODEL, settings()), online.plan(MODEL, settings(), {})
    assert small.gpus < plain.gpus
    assert (small.model, small.revision, small.quantization) == (MODEL.repo, MODEL.revision, "fp8")
    assert [rung.engine for rung in small.ladder] == ["vllm"]
    assert small.ladder[0].args[-2:] == ("--quantization", "fp8")
    assert "while it loads" in small.reasons[0]


@pytest.mark.parametrize("memory", [40, 48, 64, 80, 96, 141])
def test_there_is_room_to_load(memory: int) -> None:
    """Whatever the GPU: the 16-bit weights fit for the moment in which they are quantized."""
    made = online.plan(MODEL, settings(memory * GIB), {})
    assert MODEL.weights_bytes / made.gpus < memory * GIB


def test_what_can_not_be_quantized_is_refused() -> None:
    """Small already, of another type, or no vLLM: each in a sentence with the next step."""
    for facts, said in [
        (replace(MODEL, quantization="awq", dtype="int4"), "awq already"),
        (replace(MODEL, dtype="float8_e4m3fn"), "float8_e4m3fn already"),
    ]:
        with pytest.raises(Refused, match=said):
            online.plan(facts, settings(), {})
    with pytest.raises(Refused, match="no runtime of the ladder is vLLM"):
        online.plan(MODEL, settings(ladder=("transformers",)), {})
