"""The planner: tables over published models, and properties that hold for every size."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch import facts_config
from batch.planning.alternatives import alternatives
from batch.planning.anatomy import anatomy
from batch.planning.layouts import USABLE, Demand, Layout, memory_per_gpu, why_not
from batch.planning.planner import plan
from lifecycle.errors import Refused
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from tests.batch.hub_lab import CONFIG
from tests.batch.plan_facts import BY_ID, GB, ROWS, SIZED, cluster, facts_of
from tests.batch.published import MORE, NO, SAME, Compared, table

H100, H200, L40S, A100 = ("H100", 80, 8), ("H200", 141, 8), ("L40S", 48, 4), ("A100", 80, 8)
LAB = ModelFacts(
    repo="acme/toy", revision="a" * 40, config=CONFIG, weights_bytes=2_000_000, has_safetensors=True, context=512
)


def lab(across: bool, memory_mb: float = 2.0):
    """The lab: four nodes with one GPU of two megabytes."""
    return cluster(
        ("toy", memory_mb / 1000, 1), overhead=100_000, max_nodes=4, across=across, context=512, concurrency=4
    )


@pytest.mark.parametrize("row", [r for r in ROWS if r["kv_bytes_per_token"]], ids=lambda r: r["id"])
def test_cache_of_a_token(row: dict) -> None:
    """Bytes of KV cache for one token equal those worked out by hand: GQA, MHA, MLA, hybrids, pruned layers."""
    assert anatomy(row["config"]).kv_bytes(1) == row["kv_bytes_per_token"]


def test_sliding_window() -> None:
    """Layers with a window stop growing at the window; gpt-oss: half of its layers see 128 tokens."""
    model = anatomy(BY_ID["openai/gpt-oss-20b"]["config"])
    assert model.kv_bytes(100_128) - model.kv_bytes(128) == 100_000 * 24576
    assert anatomy(BY_ID["Qwen/Qwen2.5-7B-Instruct"]["config"]).kv[0].window is None  # set, but switched off


def test_latent_cache_is_not_cut() -> None:
    """MLA keeps a whole copy on each rank; grouped heads are cut, down to one."""
    latent = anatomy(BY_ID["deepseek-ai/DeepSeek-V3.1"]["config"])
    assert latent.kv_bytes(1000, 8) == latent.kv_bytes(1000)
    grouped = anatomy(BY_ID["Qwen/Qwen3-30B-A3B"]["config"])  # 4 KV heads
    assert grouped.kv_bytes(1000, 4) == grouped.kv_bytes(1000) // 4 == grouped.kv_bytes(1000, 8)


@pytest.mark.parametrize(
    ("name", "gpu", "nodes", "gpus", "tensor", "pipeline"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.3", L40S, 1, 1, 1, 1),
        ("Qwen/Qwen2.5-7B-Instruct", L40S, 1, 1, 1, 1),
        ("Qwen/Qwen2.5-32B-Instruct", H100, 1, 2, 2, 1),
        ("Qwen/Qwen3-8B", L40S, 1, 1, 1, 1),
        ("openai/gpt-oss-20b", H100, 1, 1, 1, 1),
        ("meta-llama/Llama-3.3-70B-Instruct", H100, 1, 4, 4, 1),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", H100, 1, 4, 4, 1),
        ("mistralai/Mistral-Large-Instruct-2407", L40S, 2, 4, 4, 2),
        ("meta-llama/Llama-3.1-405B-Instruct", H100, 2, 8, 8, 2),
        ("meta-llama/Llama-3.1-405B-Instruct", H200, 1, 8, 8, 1),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", H100, 1, 8, 8, 1),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", H200, 1, 8, 8, 1),
        ("deepseek-ai/DeepSeek-V2-Chat", A100, 1, 8, 8, 1),
        ("deepseek-ai/DeepSeek-V3.1", H200, 1, 8, 8, 1),
        ("moonshotai/Kimi-K2-Instruct", H100, 3, 8, 8, 3),
        ("moonshotai/Kimi-K2-Instruct", H200, 2, 8, 8, 2),
        ("zai-org/GLM-4.5", H200, 1, 8, 8, 1),
        ("zai-org/GLM-4.5-Air", H100, 1, 4, 4, 1),
        ("tiiuae/falcon-180B-chat", A100, 1, 8, 8, 1),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", H100, 1, 1, 1, 1),
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1", H100, 1, 2, 2, 1),
        ("microsoft/Phi-3-medium-128k-instruct", L40S, 1, 2, 2, 1),
    ],
)
def test_published_models(name: str, gpu: tuple, nodes: int, gpus: int, tensor: int, pipeline: int) -> None:
    """What the planner makes of models that people do serve; the sizes are those they publish, or the next that fit."""
    made = plan(facts_of(name), cluster(gpu))
    assert (made.nodes, made.gpus_per_node, made.tensor_parallel, made.pipeline_parallel) == (
        nodes,
        gpus,
        tensor,
        pipeline,
    )
    assert made.context == min(32768, facts_of(name).context or 32768)


@pytest.mark.parametrize(("across", "tensor", "pipeline"), [(True, 2, 1), (False, 1, 2)])
def test_the_lab_needs_two_nodes(across: bool, tensor: int, pipeline: int) -> None:
    """Two megabytes of weights, GPUs of two megabytes: the planner itself goes to two nodes with one GPU each."""
    made = plan(LAB, lab(across))
    assert (made.nodes, made.gpus_per_node, made.tensor_parallel, made.pipeline_parallel) == (2, 1, tensor, pipeline)
    assert made.context == 512
    assert made.memory_per_gpu <= made.gpu_memory == 2_000_000


@pytest.mark.parametrize("weights", [1_500_000, 2_000_000, 2_500_000, 3_000_000])
@pytest.mark.parametrize("across", [True, False])
def test_lab_models_of_all_sizes(across: bool, weights: int) -> None:
    """1.5 to 3 MB come out as two nodes of the lab whose GPUs have 1.6 to 2.4 MB."""
    made = plan(replace(LAB, weights_bytes=weights), lab(across, memory_mb=0.9 + weights / 2_000_000))
    assert made.nodes == 2 and made.gpus_per_node == 1


def test_heads_that_divide_badly() -> None:
    """40 heads with 10 KV heads: never 4 or 8 in tensor parallel; 5 when two aren't enough."""
    phi = facts_of("microsoft/Phi-3-medium-128k-instruct")
    for memory in (24, 16, 12):
        made = plan(phi, cluster(("small", memory, 8)))
        assert made.tensor_parallel in (1, 2, 5)


def test_query_heads_decide_too() -> None:
    """28 heads with 4 KV heads: eight ranks could copy the KV heads, but 28 can't be cut by eight."""
    model = anatomy(BY_ID["Qwen/Qwen2.5-7B-Instruct"]["config"])
    assert "28 attention heads" in why_not(model, Layout(1, 8, 8, 1))
    assert not why_not(model, Layout(1, 4, 4, 1))


def test_fp8_blocks() -> None:
    """Experts 2560 wide in blocks of 128 can be cut by 4 but not by 8, so eight GPUs get them whole."""
    coder = BY_ID["Qwen/Qwen3-Coder-480B-A35B-Instruct"]["config"]
    quantized = {**coder, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    facts = facts_of("Qwen/Qwen3-Coder-480B-A35B-Instruct", config=quantized, weights_bytes=482 * GB)
    made = plan(facts, cluster(H100, max_nodes=1))
    assert (made.gpus_per_node, made.tensor_parallel, made.pipeline_parallel) == (8, 8, 1)
    assert made.expert_parallel and "160 experts" in " ".join(made.reasons)


def test_smaller_type_first() -> None:
    """Of two GPU types that need as many GPUs, the one with less memory is taken; a wish overrides."""
    both = cluster(H200, H100)
    small = facts_of("Qwen/Qwen3-8B")
    assert plan(small, both).gpu_type == "H100"
    assert plan(small, both, {"gpu_type": "H200"}).gpu_type == "H200"


def test_less_context_before_a_refusal() -> None:
    """When the wanted context doesn't fit within the guard rails, there is less of it, and a reason says so."""
    made = plan(facts_of("lmsys/vicuna-13b-v1.5", context=131072), cluster(("A", 48, 1), max_nodes=1))
    assert 2048 <= made.context < 32768
    assert any("instead of 32768" in reason for reason in made.reasons)


def test_wishes() -> None:
    """Nodes, GPUs, context, engine and hours are obeyed to the letter."""
    wishes = {"nodes": 2, "gpus": "4", "context": 8192, "engine": "transformers", "hours": 2, "gpu_type": None}
    made = plan(facts_of("Qwen/Qwen3-8B"), cluster(H100), wishes)
    assert (made.nodes, made.gpus_per_node, made.context, made.walltime_s) == (2, 4, 8192, 7200)
    assert [rung.engine for rung in made.ladder] == ["transformers"]


def test_ladder() -> None:
    """The rungs are the runtimes of the settings, in their order, each with a reason."""
    made = plan(facts_of("Qwen/Qwen3-8B"), cluster(H100))
    assert [(r.engine, r.runtime) for r in made.ladder] == [("vllm", "vllm"), ("transformers", "transformers")]
    assert all(rung.why for rung in made.ladder)


@pytest.mark.parametrize(
    ("changes", "wishes", "words"),
    [
        ({"weights_bytes": 5000 * GB}, {}, "doesn't fit"),
        ({"weights_bytes": 0}, {}, "no weights"),
        ({"has_safetensors": False, "has_pickle": True}, {}, "pickle"),
        ({"complete": False, "missing": ("model-2.safetensors",)}, {}, "1 file"),
        ({"config": {"hidden_size": 64}}, {}, "layers and attention heads"),
        ({"pipeline_tag": "feature-extraction"}, {}, "feature-extraction"),
        ({}, {"nodes": 9}, "limit of 8"),
        ({}, {"nodes": 0}, "nodes"),
        ({}, {"gpus": "many"}, "gpus"),
        ({}, {"context": 10**9}, "tokens of context"),
        ({}, {"engine": "sglang"}, "sglang"),
        ({}, {"gpu_type": "TPU"}, "TPU"),
        ({}, {"color": "red"}, "color"),
        ({}, {"gpus": 3, "nodes": 1}, "can't be cut"),
        ({"weights_bytes": 200 * GB}, {"gpus": 1, "nodes": 1}, "doesn't fit"),
    ],
)
def test_refusals(changes: dict, wishes: dict, words: str) -> None:
    """Each refusal is one sentence that says what is missing, with a next step."""
    if words == "can't be cut":
        changes = {"config": {**BY_ID["Qwen/Qwen3-8B"]["config"], "num_attention_heads": 7, "num_hidden_layers": 2}}
    with pytest.raises(Refused) as caught:
        plan(facts_of("Qwen/Qwen3-8B", **changes), cluster(H100), wishes)
    assert words in str(caught.value) and str(caught.value).endswith(".") and caught.value.next_step


PUBLISHED = table()


def test_published_deployments() -> None:
    """Of what people run we refuse nothing, and want more GPUs only in two cases on the edge of their memory."""
    assert len(PUBLISHED) > 50 and len({one.row["model"] for one in PUBLISHED}) > 30
    more = {one.row["model"] for one in PUBLISHED if one.word == MORE}
    assert more <= {"meta-llama/Llama-3.3-70B-Instruct", "nvidia/Llama-3_1-Nemotron-Ultra-253B-v1"}
    assert not [one.row["model"] for one in PUBLISHED if one.word == NO]
    assert sum(one.word == SAME for one in PUBLISHED) > len(PUBLISHED) * 0.6


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.row['model']}-{one.row['gpu']}-{one.row['gpus']}")
def test_what_runs_fits_by_our_count(one: Compared) -> None:
    """The layout that somebody runs is one that we could choose, and fills no GPU beyond its memory by our count."""
    row = one.row
    data = row["data"] or 1
    per_node, dealt = row["gpus"] // row["nodes"], bool(row["expert"])
    layout = Layout(row["nodes"], per_node, row["tensor"], row["pipeline"], data, dealt)
    if layout.gpus != layout.tensor_parallel * layout.pipeline_parallel * data:
        pytest.skip("its sizes don't multiply to its GPUs: it runs several replicas")
    facts = facts_of(row["model"])
    model = anatomy(facts.config)
    assert not why_not(model, layout)
    context = min(row["context"] or 8192, facts.context or 8192)
    used = memory_per_gpu(model, layout, Demand(facts.weights_bytes, context, 1), 2 * 2**30)
    assert used <= row["memory_gb"] * GB or (row["model"], data) in OVER


OVER = {
    ("nvidia/Llama-3_1-Nemotron-Ultra-253B-v1", 1),  # our copy of its config lacks the layers that have no attention
    ("moonshotai/Kimi-K2-Instruct", 16),  # 84 of 80 GB: what is not experts is counted generously
}


def test_a_cache_that_can_not_be_cut() -> None:
    """DeepSeek's latent cache: for very many requests, copying attention saves nodes; for few, it is only named."""
    name = "deepseek-ai/DeepSeek-V3.1"
    few, many = cluster(H200, concurrency=16), cluster(H200, concurrency=2000, context=8192)
    made = plan(facts_of(name), few)
    assert (made.tensor_parallel, made.data_parallel) == (8, 1)
    made = plan(facts_of(name), many, {"context": 8192})
    assert (made.data_parallel, made.tensor_parallel, made.expert_parallel) == (made.gpus, 1, True)
    assert made.memory_per_gpu <= made.gpu_memory * USABLE


def test_alternatives() -> None:
    """Ranked by GPUs, none is the plan itself, each says what it costs."""
    both = cluster(H100, ("H200", 141, 8), ("L40S", 48, 4))
    facts = facts_of("meta-llama/Llama-3.3-70B-Instruct")
    made = plan(facts, both)
    others = alternatives(facts, both, {}, made)
    gpus = [int(re.search(r"\((\d+) GPU", other)[1]) for other in others]
    assert gpus == sorted(gpus) and len(others) >= 3
    assert any("H200" in other for other in others) and all(re.search("more|fewer|as many", other) for other in others)
    assert not any(f"{made.nodes} node × {made.gpus_per_node} {made.gpu_type} " in other
                   and f"tensor parallel {made.tensor_parallel}," in other for other in others)  # fmt: skip


def test_plan_survives_json() -> None:
    """What is approved can be written down and read again, the same."""
    made = plan(facts_of("Qwen/Qwen3-8B"), cluster(H100))
    again = Plan.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made and again.digest == made.digest


@pytest.mark.parametrize(
    ("name", "dtype", "quantization"),
    [
        ("deepseek-ai/DeepSeek-V3.1", "fp8", "fp8"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "fp8", "fp8"),
        ("moonshotai/Kimi-K2.5", "int4", "compressed-tensors"),
        ("moonshotai/Kimi-K3", "mxfp4", "compressed-tensors"),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "int4", "awq"),
        ("Qwen/Qwen2.5-32B-Instruct-GPTQ-Int4", "int4", "gptq"),
        ("openai/gpt-oss-120b", "mxfp4", "mxfp4"),
        ("nvidia/Qwen3-235B-A22B-NVFP4", "nvfp4", "nvfp4"),
        ("Qwen/Qwen3-32B", "bfloat16", None),
    ],
)
def test_what_the_weights_are(name: str, dtype: str, quantization: str | None) -> None:
    """The quantization is found wherever the publisher put it."""
    row = BY_ID[name]
    assert facts_config.dtype(row["config"], row.get("hf_quant_config")) == dtype
    assert facts_config.quantization(row["config"], row.get("hf_quant_config")) == quantization


MODELS = st.sampled_from(SIZED)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=MODELS, memory=st.integers(8, 300), per_node=st.sampled_from([1, 2, 4, 8]), across=st.booleans())
def test_never_over_memory_and_heads_divide(name: str, memory: int, per_node: int, across: bool) -> None:
    """Whatever the cluster: no GPU is filled above its limit, the parallel sizes multiply to the GPUs, heads divide."""
    try:
        made = plan(facts_of(name), cluster(("any", memory, per_node), across=across))
    except Refused:
        return
    model = anatomy(BY_ID[name]["config"])
    assert made.memory_per_gpu <= made.gpu_memory * USABLE
    assert made.weights_bytes / made.gpus < made.gpu_memory
    assert made.nodes * made.gpus_per_node == made.tensor_parallel * made.pipeline_parallel * made.data_parallel
    assert made.nodes <= 8 and made.gpus_per_node <= per_node
    assert model.heads % made.tensor_parallel == 0
    assert not model.kv_heads or not (model.kv_heads % made.tensor_parallel and made.tensor_parallel % model.kv_heads)
    assert across or made.tensor_parallel <= made.gpus_per_node
    assert made.pipeline_parallel <= model.layers


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=MODELS, memory=st.integers(8, 200), more=st.integers(1, 150), per_node=st.sampled_from([1, 4, 8]))
def test_more_memory_never_hurts(name: str, memory: int, more: int, per_node: int) -> None:
    """With larger GPUs a plan stays possible, has no less context, and with the same context no more nodes or GPUs."""
    try:
        small = plan(facts_of(name), cluster(("any", memory, per_node)))
    except Refused:
        return
    large = plan(facts_of(name), cluster(("any", memory + more, per_node)))
    assert large.context >= small.context
    if large.context == small.context:
        assert (large.nodes, large.gpus) <= (small.nodes, small.gpus)
