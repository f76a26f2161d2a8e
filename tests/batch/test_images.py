"""Images are really built: an environment by pip, a trial by the launcher, the link moved only after an answer."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from batch.images import choice, orders, shelf
from batch.recipes import Recipes
from bot.checks.site import runtimes
from lifecycle import images, queries
from lifecycle.errors import BadSettings, Refused
from lifecycle.imagefolder import current, image_folder, overlay_id, read_image
from lifecycle.jobs import JobState, Sighting
from lifecycle.plans import Plan, Rung
from lifecycle.runfolder import read_json, write_json
from lifecycle.sections.cluster import Cluster, Gpu
from lifecycle.sections.serving import Images, Runtime, Serving
from lifecycle.sections.site import Site
from lifecycle.settings import SECRETS, Settings
from tests.batch.recipe_lab import PLAN, SOURCE, deployment, server
from tests.batch.test_render import GOLDEN, lint
from tests.lifecycle.town import Town
from tests.waiting import until

SCRIPTED = Path(__file__).parent / "engines" / "scripted.py"
ENGINE = SOURCE / ".venv-engine"
MODEL = SOURCE / ".lab" / "models" / "good"


def wheel(folder: Path, version: str, name: str = "vllm", **script: object) -> Path:
    """A wheel that brings a `vllm` command: the scripted engine, which says its version and does as it is told."""
    told = repr(json.dumps({"folder": str(folder), **script}))
    body = SCRIPTED.read_text().replace('os.environ.get("SCRIPT", "{}")', told, 1)
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{name}/engine.py": body,
        f"{name}/start.py": f"import {name}, runpy\n\ndef main():\n    print('it is', {name}.__version__, flush=True)\n"
        f"    runpy.run_module('{name}.engine', run_name='__main__')\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-{version}.dist-info/entry_points.txt": f"[console_scripts]\n{name} = {name}.start:main\n",
    }
    files[f"{name}-{version}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in files)
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return made


def settings(shared: Path, **changes: object) -> Settings:
    given = {"gpus": 0, "index": "", "smoke_model": shared / "tiny", **changes}
    vllm = Runtime(engine="vllm", command=("{image}/env/bin/vllm",), start_timeout_s=60)
    return Settings(
        site=Site(shared=shared, state=shared / "state"),
        cluster=Cluster(gpus={"h100": Gpu(memory=80 * 10**9, gres="h100")}, light_partition="cpu", light_qos="light"),
        runtimes={"vllm": vllm},
        images=Images(**given),
        serving=Serving(ladder=("vllm",)),
    )


def ordered(made: Settings, image: str, reference: str = "nightly", kind: str = "venv") -> Path:
    """Its folder, with build.json and the script as the service writes them."""
    return Recipes(made, python=sys.executable).image(image, reference, kind).path.parent


def build(folder: Path) -> subprocess.CompletedProcess:
    script = next(folder.glob("*.sbatch"))
    environment = {**os.environ, "SLURM_JOB_ID": "77"}
    return subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, timeout=300)


def test_an_environment_is_built_tried_and_used(tmp_path: Path) -> None:
    """By the script as it stands: real pip, the real launcher, one completion; then image.json and the link."""
    made = settings(tmp_path, packages=(str(wheel(tmp_path, "1.0")),))
    folder = ordered(made, "one")
    assert current(tmp_path) is None
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    image = read_image(tmp_path, "one")
    assert image["digest"].startswith("sha256:") and image["versions"] == {"vllm": "1.0"} and image["job"] == "77"
    assert current(tmp_path) == "one"
    assert "it is 1.0" in "".join(p.read_text() for p in (folder / "smoke/servers/1").glob("*.log"))
    plan = choice.with_image(PLAN, made, None, None)
    assert (plan.image, plan.image_digest) == ("one", image["digest"]) and plan.digest != PLAN.digest
    assert build(folder).returncode == 0 and read_image(tmp_path, "one") == image  # by hand once more: nothing new


def test_an_image_that_does_not_answer_is_never_used(tmp_path: Path) -> None:
    """The engine dies at its first completion: no image.json, the link stays, the launcher's own sentence."""
    ok = ordered(settings(tmp_path, packages=(str(wheel(tmp_path, "1.0")),)), "good")
    assert build(ok).returncode == 0
    folder = ordered(settings(tmp_path, packages=(str(wheel(tmp_path, "2.0", crash=True)),)), "bad")
    assert build(folder).returncode != 0
    assert read_image(tmp_path, "bad") is None and current(tmp_path) == "good"
    failure = read_json(folder / "failure.json")
    assert "a tiny model does not run in it" in failure["sentence"] and failure["job"] == "77"


def test_what_pip_says_is_what_the_person_reads(tmp_path: Path) -> None:
    """A package that isn't there: pip's sentence, no retry by itself, the log's end."""
    folder = ordered(settings(tmp_path, packages=(str(tmp_path / "missing-1-py3-none-any.whl"),)), "none")
    done = build(folder)
    failure = read_json(folder / "failure.json")
    assert done.returncode == 1 and "could not be installed" in failure["sentence"] and failure["tail"]
    assert not failure["retryable"]


def test_a_build_that_was_killed_begins_anew(tmp_path: Path) -> None:
    """kill -9 during the trial: nothing counts; the same script again makes the image."""
    folder = ordered(settings(tmp_path, packages=(str(wheel(tmp_path, "1.0", load_s=600)),)), "one")
    environment = {**os.environ, "SLURM_JOB_ID": "77"}
    job = subprocess.Popen(["bash", str(next(folder.glob("*.sbatch")))], env=environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    beat = folder / "smoke/servers/1/heartbeat.json"
    until(beat.exists, 60, "the trial has begun")
    launcher = _children(job.pid)
    job.kill()
    job.wait()
    assert read_image(tmp_path, "one") is None and current(tmp_path) is None
    for pid in launcher:  # as Slurm does with what is left of a job
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(map(_lives, launcher)), 60, "what was left is gone")
    wheel(tmp_path, "1.0")
    assert build(folder).returncode == 0 and current(tmp_path) == "one"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found]


def test_an_overlay_goes_before_its_image(tmp_path: Path) -> None:
    """Built over the image for one deployment, tried too; the server's environment has it first, the image is as it
    was, and the other deployments' too."""
    made = settings(tmp_path, packages=(str(wheel(tmp_path, "1.0")),))
    assert build(ordered(made, "one")).returncode == 0
    patched = str(wheel(tmp_path, "1.1"))
    plan = choice.with_image(PLAN, made, None, patched)
    name = overlay_id("one", patched)
    assert patched in plan.reasons[-1] and plan.overlay == patched
    with pytest.raises(BadSettings, match="is not built"):
        Recipes(made).serve(deployment(replace(plan, ladder=PLAN.ladder[:1])), server())
    folder = ordered(made, name, f"one {patched}", "overlay")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is 1.1" in "".join(p.read_text() for p in (folder / "smoke/servers/1").glob("*.log"))
    assert read_image(tmp_path, name)["versions"] == {"vllm": "1.1"} and current(tmp_path) == "one"
    Recipes(made).serve(deployment(replace(plan, ladder=PLAN.ladder[:1])), server())
    launch = read_json(tmp_path / "runs/toy-llama-1/servers/1/launch.json")
    assert launch["ladder"][0]["environment"]["PYTHONPATH"] == str(folder / "packages")
    assert launch["ladder"][0]["argv"] == [str(image_folder(tmp_path, "one") / "env/bin/vllm")]
    assert launch["plan"]["overlay"] == patched and launch["plan"]["image_digest"] == plan.image_digest


@pytest.mark.engine
@pytest.mark.skipif(not (ENGINE / "bin" / "transformers").exists(), reason="no engine environment")
@pytest.mark.skipif(not MODEL.exists(), reason="no tiny models: python -m lab.setup --only models")
def test_a_real_engine_in_an_image_over_an_environment(tmp_path: Path) -> None:
    """The lab's CPU variant: what is installed in the engine environment, seen from a new one, answers really."""
    quiet = {"OMP_NUM_THREADS": "1"}
    runtime = Runtime(engine="transformers", command=("{image}/env/bin/transformers",), args=("--device", "cpu"),
                      environment=quiet, start_timeout_s=280)  # fmt: skip
    made = settings(tmp_path, base=ENGINE, packages=(), smoke_model=MODEL, runtime="transformers")
    folder = ordered(made.model_copy(update={"runtimes": {"transformers": runtime}}), "cpu")
    done = subprocess.run(["bash", str(next(folder.glob("*.sbatch")))], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "SLURM_JOB_ID": "78"})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    image = read_image(tmp_path, "cpu")
    assert {"torch", "transformers"} <= set(image["versions"]) and current(tmp_path) == "cpu"


@pytest.mark.parametrize("kind", ["venv", "apptainer", "enroot", "overlay"])
def test_every_shape_of_the_script(tmp_path: Path, kind: str) -> None:
    """Word for word, and shellcheck agrees; with a GPU for the trial, but never with the QOS that preempts."""
    made = settings(tmp_path, gpus=1)
    reference = "one git+https://example.com/vllm@0123abc" if kind == "overlay" else "nightly"
    folder = Recipes(made, python="/opt/dayzero/bin/python").image("an-image", reference, kind).path.parent
    script = next(folder.glob("*.sbatch"))
    lint(script)
    text = script.read_text().replace(str(tmp_path), "/shared").replace(str(SOURCE), "/opt/dayzero/source")
    assert all(secret in text for secret in SECRETS)
    assert "--gres=gpu:h100:1" in text and "--qos=light" in text and "--qos=serving" not in text
    golden = GOLDEN / "image.sbatch"
    if kind == "venv" and not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and is written; look at it, commit it, run again")
    assert text.replace(f"the {kind} image", "the venv image").replace(f"from '{reference}'.", "from nightly.") == (
        golden.read_text()
    )
    if kind == "apptainer":
        definition = (folder / "image.def").read_text()
        assert "Bootstrap: docker\nFrom: vllm/vllm-openai:nightly\n" in definition


@pytest.mark.parametrize(
    ("reference", "packages", "index"),
    [
        ("nightly", ["vllm", "transformers"], "https://wheels.vllm.ai/nightly"),
        ("0123abcdef", ["vllm", "transformers"], "https://wheels.vllm.ai/0123abcdef"),
        ("v0.11.0", ["vllm==0.11.0", "transformers"], ""),
        ("0.12.0rc1", ["vllm==0.12.0rc1", "transformers"], ""),
    ],
)
def test_where_the_wheels_come_from(tmp_path: Path, reference: str, packages: list[str], index: str) -> None:
    """Nightlies and commits from the project's index, releases from PyPI."""
    made = settings(tmp_path, index="https://wheels.vllm.ai/{ref}")
    order = orders.order(made, "x", reference, "venv")
    assert (order["packages"], order["index"]) == (packages, index)
    assert order["move"] == (reference == "nightly")


@pytest.mark.parametrize(
    "text", ["", "-r /etc/passwd", "vllm; rm", "git+https://example.com/vllm", "git+https://x/y@main"]
)
def test_no_overlay(text: str) -> None:
    """Options, shell words and what may be another thing tomorrow are refused with an example."""
    with pytest.raises(Refused):
        orders.checked_overlay(text)


@pytest.mark.parametrize("reference", ["", "--help", "a b", "x/y", "n" * 81, "$(id)"])
def test_no_reference(tmp_path: Path, reference: str) -> None:
    """It becomes a tag, a folder and a part of an address."""
    with pytest.raises(Refused):
        orders.order(settings(tmp_path), "x", reference, "apptainer")


def test_what_the_settings_lack(tmp_path: Path) -> None:
    """No tiny model: refused, not used untried. No image yet: the plan says what to do."""
    with pytest.raises(Refused, match="tiny model"):
        orders.order(settings(tmp_path, smoke_model=None), "x", "nightly", "venv")
    with pytest.raises(Refused, match="no image yet"):
        choice.with_image(PLAN, settings(tmp_path), None, None)
    with pytest.raises(Refused, match="no finished image 'gone'"):
        choice.with_image(PLAN, settings(tmp_path), "gone", None)


def fake(shared: Path, *names: str, **more: Mapping) -> None:
    for n, name in enumerate(names):
        write_json(image_folder(shared, name) / "image.json", {"id": name, "kind": "venv", "digest": name, "n": n})


def test_what_gc_leaves(tmp_path: Path) -> None:
    """The newest, what is approved, what nightly points to, what is being built; the rest and dead halves go."""
    town = Town(tmp_path)
    fake(town.shared, "a", "b", "c", "d", "e")
    for half in ("half-dead", "half-alive", "half-wanted"):
        (image_folder(town.shared, half) / "env").mkdir(parents=True)
    images.want(town.ledger, "half-wanted", "nightly", "venv")
    town.scheduler.jobs["1"] = Sighting(handle="1", name="dz-image-half-alive", state=JobState.RUNNING, word="RUNNING")
    town.scheduler.jobs["2"] = Sighting(handle="2", name="dz-image-half-dead", state=JobState.FAILED, word="FAILED")
    (town.shared / "images" / "nightly").symlink_to("b")
    _approve(town, replace(PLAN, image="a", image_digest="a"))
    going = shelf.to_go(town.shared, town.ledger, town.scheduler, 2)
    assert going == ["c", "half-dead"]
    town.scheduler.silent = True
    for name in going:
        shelf.remove(town.shared, town.ledger, name)
    left = {one["id"] for one in shelf.survey(town.shared, town.ledger)}
    assert left == {"a", "b", "d", "e"} and not image_folder(town.shared, "half-dead").exists()
    shelf.remove(town.shared, town.ledger, "a")  # approved since somebody looked
    assert read_image(town.shared, "a")
    town.ledger.close()


def _approve(town: Town, plan: Plan) -> None:
    town.ledger.found("model", plan.model, plan.revision)
    release = queries.release_of(town.ledger.connection, "model", plan.model, plan.revision)
    town.ledger.approve(release, plan, by="alice")


def test_an_image_that_changed_since_the_approval_is_not_served(tmp_path: Path) -> None:
    """What is approved is what is submitted: another digest under the name is an error with the next step."""
    fake(tmp_path, "a")
    plan = replace(PLAN, image="a", image_digest="another", ladder=(Rung(engine="vllm", runtime="vllm"),))
    with pytest.raises(BadSettings, match="not there any more"):
        Recipes(settings(tmp_path)).serve(deployment(plan), server())


def test_check_knows_images(tmp_path: Path) -> None:
    """`dayzero check`: no image yet, an image without the program, an image that has it."""
    made = settings(tmp_path)
    assert runtimes(made).next_step == "dayzero image build"
    fake(tmp_path, "a")
    (tmp_path / "images" / "nightly").symlink_to("a")
    assert "there is no program" in runtimes(made).sentence
    program = image_folder(tmp_path, "a") / "env" / "bin" / "vllm"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert runtimes(made).ok
