"""The dry run's job: small files only, the engine's word in result.json, a script that preempts nobody."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from batch.payloads.cache_fetch import Source
from batch.payloads.dry_run import SMALL, is_small
from batch.recipes import Recipes
from lab.hub.server import Hub
from lifecycle.plans import Rung
from lifecycle.runfolder import read_json
from lifecycle.sections.serving import Runtime
from lifecycle.settings import SECRETS
from tests.batch.hub_lab import toy
from tests.batch.launching import LOGS
from tests.batch.recipe_lab import PLAN, deployment, recipes, settings
from tests.batch.test_images import SCRIPTED
from tests.batch.test_render import lint


@pytest.mark.parametrize(
    ("path", "size", "code", "taken"),
    [
        ("config.json", 700, False, True),
        ("tokenizer.json", 20 * 2**20, False, True),
        ("chat_template.jinja", 700, False, True),
        ("modeling_new.py", 700, False, False),
        ("modeling_new.py", 700, True, True),
        ("model-00001-of-00002.safetensors", 700, False, False),
        ("pytorch_model.bin", 700, False, False),
        ("original/params.json", 700, False, False),
        ("something.npz", SMALL + 1, False, False),
        ("../config.json", 700, False, False),
    ],
)
def test_what_it_fetches(path: str, size: int, code: bool, taken: bool) -> None:
    """Configs, tokenizers, templates; code only when it was approved; never weights."""
    source = Source(repo="a/b", path=path, url="", size=size, sha256=None, blob_id=None)
    assert is_small(source, code) == taken


def test_the_script_preempts_nobody(tmp_path: Path) -> None:
    """Without the serving QOS, behind everybody else, one hour at most, not requeued; shellcheck agrees."""
    made = recipes(tmp_path, light_qos="light")
    script = made.dry(deployment()).path
    lint(script)
    text = script.read_text()
    for line in ("--qos=light", "--nice=10000", "--no-requeue", "--time=0-01:00:00", "--nodes=2", "--gres=gpu:h100:8"):
        assert f"#SBATCH {line}\n" in text
    assert "--qos=serving" not in text
    assert all(secret in text for secret in SECRETS if secret != "HF_TOKEN")
    launch = read_json(tmp_path / "runs/toy-llama-1/dry/launch.json")
    assert [rung["args"][-2:] for rung in launch["ladder"]] == [["--load-format", "dummy"]]


@pytest.mark.parametrize(
    ("script", "ok", "says"),
    [
        ({}, True, "knows the architecture"),
        ({"print": str(LOGS / "vllm-architecture.txt"), "exit": 1}, False, "GPTNeo"),
    ],
)
def test_the_engines_word(tmp_path: Path, script: dict, ok: bool, says: str) -> None:
    """A toy Hub, the real job script, an engine that knows the model or says vLLM's own words that it doesn't; the
    weights are not fetched."""
    runtime = Runtime(engine="vllm", command=(sys.executable, str(SCRIPTED)), start_timeout_s=60,
                      environment={"SCRIPT": json.dumps({**script, "folder": str(tmp_path / "engine")})})  # fmt: skip
    (tmp_path / "engine").mkdir()
    with Hub(tmp_path / "hub") as hub:
        revision = hub.publish(toy(), "acme/toy").head.sha
        made = settings(tmp_path)
        made = made.model_copy(
            update={
                "runtimes": {"vllm": runtime},
                "hub": made.hub.model_copy(update={"endpoint": hub.url}),
                "serving": made.serving.model_copy(update={"address": "127.0.0.1"}),
            }
        )
        plan = replace(PLAN, model="acme/toy", revision=revision, nodes=1, tensor_parallel=1, pipeline_parallel=1,
                       ladder=(Rung(engine="vllm", runtime="vllm"),))  # fmt: skip
        job = Recipes(made, python=sys.executable).dry(deployment(plan)).path
        environment = {**os.environ, "SLURM_JOB_ID": "5", "DAYZERO_LOCAL": "1"}
        done = subprocess.run(["bash", str(job)], env=environment, capture_output=True, text=True, timeout=300)
        assert not [e for e in hub.requests("GET") if e.path.endswith(".safetensors")]
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs/toy-llama-1/dry"
    result = read_json(folder / "result.json")
    assert (result["ok"], result["job"]) == (ok, "5") and says in result["sentence"]
    names = {p.name for p in (folder / "model").iterdir()}
    assert "config.json" in names and not any(name.endswith(".safetensors") for name in names)
