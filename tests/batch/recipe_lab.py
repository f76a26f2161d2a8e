"""A deployment to write scripts for, the same every time: golden files depend on it."""

from dataclasses import replace
from pathlib import Path

from batch.recipes import Recipes
from lifecycle.plans import Plan, Rung
from lifecycle.records import Deployment, Server
from lifecycle.sections.cluster import Cluster, Gpu
from lifecycle.sections.serving import Runtime, Serving
from lifecycle.sections.site import Site
from lifecycle.settings import Settings

SOURCE = Path(__file__).resolve().parents[2]
PLAN = Plan(
    model="acme/toy-llama",
    revision="0123456789abcdef0123456789abcdef01234567",
    partition="serving",
    account="",
    qos="serving",
    gpu_type="h100",
    nodes=2,
    gpus_per_node=8,
    tensor_parallel=8,
    pipeline_parallel=2,
    walltime_s=90000,
    ladder=(
        Rung(engine="vllm", runtime="vllm", why="the first choice"),
        Rung(engine="transformers", runtime="transformers", args=("--x",), why="when vLLM can't"),
    ),
)
RUNTIMES = {
    "vllm": Runtime(engine="vllm", command=("/opt/vllm/bin/vllm",), args=("--a", "b c"), environment={"K": "v"}),
    "transformers": Runtime(engine="transformers", command=("/opt/hf/bin/transformers",), start_timeout_s=60),
}


def settings(shared: Path, **cluster: object) -> Settings:
    gpus = {
        "h100": Gpu(memory=80 * 10**9, gres="h100"),
        "plain": Gpu(memory=10**9, cpus=0, host_memory=0),
        "whole": Gpu(memory=80 * 10**9, exclusive=True),
    }
    return Settings(
        site=Site(shared=shared, state=shared / "state"),
        cluster=Cluster(gpus=gpus, **cluster),
        runtimes=RUNTIMES,
        serving=Serving(address="10.0.0.7"),
    )


def recipes(shared: Path, **cluster: object) -> Recipes:
    return Recipes(settings(shared, **cluster), python="/opt/dayzero/bin/python")


def deployment(plan: Plan = PLAN, **changes: object) -> Deployment:
    made = Deployment(
        id="toy-llama-1",
        release_id=None,
        model=plan.model,
        revision=plan.revision,
        plan=plan,
        state="CACHING",
        since=0,
        created_at=0,
        created_by="alice",
        broke_in=None,
        reason="",
        next_step="",
        replaces=None,
        weight=1,
        progress={},
        attempts=0,
        due_at=0,
        exam=0,
        verdict=None,
    )
    return replace(made, **changes)


def server(n: int = 1) -> Server:
    return Server(
        id=7,
        deployment_id="toy-llama-1",
        n=n,
        state="WANTED",
        since=0,
        created_at=0,
        url="",
        backend_model="",
        engine="",
        restarts=0,
        started_at=None,
        ended_at=None,
        nodes="",
        reason="",
    )
