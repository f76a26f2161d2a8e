"""Quantized copies made here: what they will be, what making them takes, and the job that makes and publishes one."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from batch import quantizing as recipe
from batch.payloads import quantize, quantize_verify
from batch.payloads.quantize_order import read_order
from batch.planning.quantizing import SCHEMES, foreseen, group_size, needs
from batch.recipes import Recipes
from lifecycle.errors import NoSpace, Refused
from lifecycle.plans import Plan, Quantizing
from lifecycle.runfolder import read_json, write_json
from lifecycle.sections.serving import Quantize
from lifecycle.settings import Settings
from tests.batch.plan_facts import GB, cluster, facts_of
from tests.batch.recipe_lab import PLAN, SOURCE, deployment, settings
from tests.batch.test_render import lint
from tests.waiting import until

GOLDEN = SOURCE / "tests" / "golden" / "quantize.sbatch"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
H100 = ("H100", 80, 8)


def site(*gpus: tuple, **changes: object) -> Settings:
    given = {"command": ("/opt/quantize/bin/python",), **changes}
    return cluster(*gpus).model_copy(update={"quantize": Quantize(**given)})


# What it will be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "gigabytes"), [("fp8", 72.7), ("awq", 40.0), ("gptq", 40.0)])
def test_foreseen_sizes_are_those_of_published_copies(scheme: str, gigabytes: float) -> None:
    """Within 5 % of the FP8, AWQ and GPTQ copies of Llama 3.3 70B that lie on the Hub."""
    made = foreseen(facts_of(LLAMA), SCHEMES[scheme])
    assert made.weights_bytes / GB == pytest.approx(gigabytes, rel=0.05)
    assert (made.quantization, made.revision) == ("compressed-tensors", f"{facts_of(LLAMA).revision}-{scheme}")


def test_a_copy_takes_fewer_gpus() -> None:
    """Four H100 become two; the plan says how its weights are made, and survives JSON."""
    made = Recipes(site(H100)).quantized(facts_of(LLAMA), "fp8")
    assert (made.nodes, made.gpus_per_node, made.dtype) == (1, 2, "fp8")
    assert made.quantizing.made_from == facts_of(LLAMA).revision and made.quantizing.gpu_type == "H100"
    assert "llm-compressor" in made.reasons[0]
    assert Plan.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("name", "group"), [(LLAMA, 128), ("microsoft/Phi-3-medium-128k-instruct", 128), ("openai/gpt-oss-20b", 64)]
)
def test_groups_divide_every_layer(name: str, group: int) -> None:
    """The largest usual group that leaves no rest in any layer."""
    from batch.planning.anatomy import anatomy

    assert group_size(anatomy(facts_of(name).config), name) == group


def test_what_the_job_asks_for() -> None:
    """The whole model in the node's memory; one layer and its activations on one GPU, of the smallest that does."""
    asked = needs(facts_of(LLAMA), SCHEMES["awq"], site(H100, ("L40S", 48, 4)))
    assert 1.2 < asked.host / facts_of(LLAMA).weights_bytes < 1.35 and asked.gpu_type == "L40S"
    assert needs(facts_of(LLAMA), SCHEMES["fp8"], site(H100, gpus=0)).gpu_type == ""


@pytest.mark.parametrize(
    ("scheme", "changes", "where", "words"),
    [
        ("fp8", {"quantization": "fp8"}, site(H100), "quantized already"),
        ("fp8", {"has_safetensors": False}, site(H100), "pickle"),
        ("fp8", {"needs_remote_code": True}, site(H100), "code of its own"),
        ("int3", {}, site(H100), "int3"),
        ("fp8", {}, site(H100, command=()), "quantize.command"),
        ("fp8", {}, site(H100, host_memory=100 * GB), "node's memory"),
        ("awq", {}, site(("tiny", 4, 8), host_memory=300 * GB), "single layer"),
    ],
)
def test_refusals(scheme: str, changes: dict, where: Settings, words: str) -> None:
    """Each says what is missing and what to do instead, before anything is submitted."""
    with pytest.raises(Refused) as caught:
        Recipes(where).quantized(facts_of(LLAMA, **changes), scheme)
    assert words in str(caught.value) and caught.value.next_step


# The script -----------------------------------------------------------------------------------------------------

MADE = replace(
    PLAN,
    revision=f"{PLAN.revision}-awq",
    quantizing=Quantizing(made_from=PLAN.revision, scheme="awq", group_size=64, host_memory=2**35, gpu_type="h100"),
)
CHATS = [[{"role": "user", "content": f"What is {n} plus {n}?"}] for n in range(1000)]


def recipes(shared: Path, **changes: object) -> Recipes:
    given = {"command": ("/opt/quantize/bin/python",), **changes}
    whole = settings(shared).model_copy(update={"quantize": Quantize(**given)})
    return Recipes(whole, python="/opt/dayzero/bin/python")


def test_golden(tmp_path: Path) -> None:
    """The template's text, word for word; it passes shellcheck. To change it: delete the golden file, run again."""
    script = recipes(tmp_path).quantize(deployment(MADE), 1, CHATS)
    lint(script.path)
    text = script.path.read_text().replace(str(tmp_path), "/shared").replace(str(SOURCE), "/opt/dayzero/source")
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN} was missing and is written; look at it, commit it, run again")
    assert text == GOLDEN.read_text()
    assert script.key == "dz-toy-llama-1-quantize-1"


def test_the_order(tmp_path: Path) -> None:
    """What the job reads: every suite has its share of the prompts, and asking twice changes no file."""
    made = recipes(tmp_path, samples=100)
    made.quantize(deployment(MADE), 1, CHATS)
    run = tmp_path / "runs" / "toy-llama-1"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    made.quantize(deployment(MADE), 1, CHATS)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    lines = [json.loads(line) for line in (run / "calibration.jsonl").read_text().splitlines()]
    assert len(lines) == 100 and lines[1] == CHATS[10]
    order = read_order(run)
    assert order.target == tmp_path / "models/acme/toy-llama" / MADE.revision
    assert order.source == tmp_path / "models/acme/toy-llama" / PLAN.revision
    assert (order.group_size, order.calibration) == (64, run / "calibration.jsonl")
    with pytest.raises(Refused, match="suites are empty"):
        recipe.spread([], 10)


@pytest.mark.parametrize("gpu_type", ["", "h100"])
def test_on_cpus_it_is_a_light_job(tmp_path: Path, gpu_type: str) -> None:
    """Without GPUs where light jobs go; with them on the partition of servers, never with the QOS that preempts."""
    plan = replace(MADE, quantizing=replace(MADE.quantizing, gpu_type=gpu_type))
    text = recipes(tmp_path).quantize(deployment(plan), 1, CHATS).path.read_text()
    assert ("--gres=gpu:h100:1" in text) == bool(gpu_type)
    assert "--mem=32768M" in text and "--qos=serving" not in text


# The job --------------------------------------------------------------------------------------------------------

WORKER = """\
import json, os, shutil, struct, sys, time
from pathlib import Path
source, target = Path(sys.argv[3]), Path(sys.argv[4])
mode = os.environ.get("WORK", "good")
print("dayzero: 1/2 calibrating part 1 of 2", flush=True)
if mode == "hangs":
    Path(os.environ["SEEN"]).touch()
    time.sleep(300)
if mode == "fails":
    sys.exit("ValueError: LagunaForCausalLM is not supported")
names = ["model.embed_tokens.weight", "model.layers.0.mlp.weight"][: 1 if mode == "lacks" else 2]
header, data = {}, b""
for name in names:
    dtype = "BF16" if "embed" in name or mode == "nothing" else "F8_E4M3"
    header[name] = {"dtype": dtype, "shape": [4], "data_offsets": [len(data), len(data) + 8]}
    data += b"12345678"
text = json.dumps(header).encode()
(target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
(target / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "compressed-tensors",
                                                                      "version": "0.19.0"}}))
"""
"""In the place of llm-compressor: writes what it would, or goes wrong as it does. -m MODULE are its first arguments."""


def write_safetensors(path: Path, names: list[str]) -> None:
    header = {n: {"dtype": "BF16", "shape": [4], "data_offsets": [8 * i, 8 * i + 8]} for i, n in enumerate(names)}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"12345678" * len(names))


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Weights of acme/m at commit abc, and an order to quantize them with the stand-in."""
    weights = tmp_path / "models" / "acme" / "m" / "abc"
    weights.mkdir(parents=True)
    write_safetensors(weights / "model.safetensors", ["model.embed_tokens.weight", "model.layers.0.mlp.weight"])
    (weights / "config.json").write_text("{}")
    (weights / "tokenizer.json").write_text('{"as": "published"}')
    (weights / "modeling.py").write_text("raise SystemExit")
    write_json(weights / "manifest.json", {"bytes": 1000, "endpoint": "https://hub"})
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{WORKER}")
    program.chmod(0o755)
    order = {
        "shared": str(tmp_path), "repo": "acme/m", "made_from": "abc", "revision": "abc-fp8", "scheme": "fp8",
        "group_size": 0, "command": [str(program)], "calibration": None, "sample_tokens": 64,
    }  # fmt: skip
    write_json(tmp_path / "run" / "quantize.json", order)
    return tmp_path


def job(shared: Path, **environment: str) -> subprocess.Popen:
    argv = [sys.executable, "-m", "batch.payloads.quantize", "--run-folder", str(shared / "run")]
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "SLURM_JOB_ID": "7", **environment}
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_copy_is_published_whole_with_where_it_comes_from(shared: Path) -> None:
    """One rename beside the original, which is untouched; every file with its hash; the tokenizer as published."""
    before = {p.name: p.read_bytes() for p in (shared / "models/acme/m/abc").iterdir()}
    assert job(shared).wait(60) == 0
    made = shared / "models" / "acme" / "m" / "abc-fp8"
    manifest = read_json(made / "manifest.json")
    assert {f["path"] for f in manifest["files"]} == {"config.json", "model.safetensors", "tokenizer.json"}
    origin = manifest["made_from"]
    assert (origin["revision"], origin["scheme"], origin["quantized"], origin["job"]) == ("abc", "fp8", 1, "7")
    assert origin["tool"] == "llm-compressor, compressed-tensors 0.19.0"
    assert (made / "tokenizer.json").read_text() == '{"as": "published"}'
    assert {p.name: p.read_bytes() for p in (shared / "models/acme/m/abc").iterdir()} == before
    assert read_json(shared / "run/cache/progress.json")["note"] == "published"
    assert not list((shared / "models" / ".staging").iterdir())
    assert job(shared, WORK="fails").wait(60) == 0, "what is published is not made again"


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        ("fails", "LagunaForCausalLM is not supported"),
        ("lacks", "lacks 1 of the model's 2 tensors"),
        ("nothing", "Nothing in the copy is quantized"),
    ],
)
def test_what_goes_wrong_is_said(shared: Path, work: str, sentence: str) -> None:
    """Nothing is published; the reason and the next step are where the service looks."""
    assert job(shared, WORK=work).wait(60) == 1
    failure = read_json(shared / "run/cache/failure.json")
    assert sentence in failure["sentence"] and failure["next_step"] and failure["job"] == "7"
    assert not (shared / "models/acme/m/abc-fp8").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_and_run_again(shared: Path, tmp_path: Path, number: int) -> None:
    """Half a copy is never published; the next job makes it anew."""
    seen = tmp_path / "seen"
    first = job(shared, WORK="hangs", SEEN=str(seen))
    until(seen.exists, 60, "the work to begin")
    first.send_signal(number)
    assert first.wait(60) == (143 if number == signal.SIGTERM else -9)
    if number == signal.SIGKILL:  # Slurm ends what is left of a job's processes
        end_work(shared)
    assert not (shared / "models/acme/m/abc-fp8").exists()
    assert job(shared).wait(60) == 0
    assert (shared / "models/acme/m/abc-fp8/manifest.json").exists()


def end_work(shared: Path) -> None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0") if path.exists() else []
        if str(shared / "python").encode() in words:
            os.kill(int(path.parent.name), signal.SIGKILL)


def test_before_it_begins(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights to read, no room, no program: a sentence each, and nothing is left behind."""
    order = read_order(shared / "run")
    stop = threading.Event()
    with pytest.raises(Refused, match="not on the shared file system"):
        quantize.publish(replace(order, made_from="gone"), stop)
    with pytest.raises(NoSpace, match="free"):
        quantize.publish(replace(order, keep_free=2**62), stop)
    with pytest.raises(Refused, match="can't be started"):
        quantize.publish(replace(order, command=("/nowhere/python",)), stop)
    with pytest.raises(Refused, match="no llm-compressor"):
        quantize.publish(replace(order, command=(sys.executable, "-c", "import llmcompressor", "-")), stop)


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    """Too short, or no safetensors at all: said with the file's name."""
    write_safetensors(tmp_path / "a.safetensors", ["x"])
    whole = (tmp_path / "a.safetensors").read_bytes()
    for broken in (whole[:-1], whole[:20], b"", b"not safetensors at all"):
        (tmp_path / "a.safetensors").write_bytes(broken)
        with pytest.raises(Refused, match=r"a\.safetensors is not a whole"):
            quantize_verify.tensors(tmp_path)


ALL = """
import sys
from batch.payloads import quantize_work
good, target, chats, *schemes = sys.argv[1:]
for scheme in schemes:
    given = ["--calibration", chats] if scheme != "fp8" else []
    quantize_work.main([good, f"{target}/{scheme}", scheme, "--group-size", "64", "--sample-tokens", "64", *given])
"""
"""All schemes in one process: importing llm-compressor takes longer than the work."""


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_real_llm_compressor(tmp_path: Path) -> None:
    """A real tiny model, really quantized by each scheme: complete, smaller, with every layer's weights narrow."""
    python, good = SOURCE / ".venv-quantize" / "bin" / "python", SOURCE / ".lab" / "models" / "good"
    if not python.exists() or not good.is_dir():
        pytest.skip("the quantize environment or the tiny models are missing: see docs/swap.md")
    chats = tmp_path / "calibration.jsonl"
    chats.write_text("\n".join(json.dumps(chat) for chat in CHATS[:8]))
    for scheme in SCHEMES:
        (tmp_path / scheme).mkdir()
    argv = [str(python), "-c", ALL, str(good), str(tmp_path), str(chats), *SCHEMES]
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=840)
    assert done.returncode == 0, done.stderr[-2000:]
    size = sum(path.stat().st_size for path in good.glob("*.safetensors"))
    for scheme in SCHEMES:
        assert quantize_verify.verify(good, tmp_path / scheme, scheme)["quantized"] == 14
        assert (tmp_path / scheme / "model.safetensors").stat().st_size < size * 0.75
