"""sbatch_templates/ and what becomes of them: complete scripts that nothing can be smuggled into."""

import itertools
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from batch.render import Templates, output_pattern, quote, time_limit
from lifecycle.errors import BadSettings, Refused
from lifecycle.plans import Rung
from lifecycle.ports import Recipes as RecipesPort
from lifecycle.ports import Script
from lifecycle.settings import SECRETS
from tests.batch.recipe_lab import PLAN, SOURCE, deployment, recipes, server, settings

GOLDEN = Path(__file__).parents[1] / "golden"
NASTY = [
    "a b",
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '"; touch PWNED; "',
    "a;b&c|d",
    "\\",
    "*",
    "~",
    "-n",
    "ü",
]


def all_scripts(shared: Path, plan=PLAN, **cluster: object) -> dict[str, Script]:
    made, made_for = recipes(shared, **cluster), deployment(plan)
    return {
        "cache": made.cache(made_for, 1),
        "serve": made.serve(made_for, server()),
        "gauntlet": made.exam(made_for, 2, 1, range(4)),
        "draft": made.draft(plan),
    }


@pytest.mark.parametrize("name", ["cache", "serve"])
def test_what_is_shown_is_what_is_submitted(tmp_path: Path, name: str) -> None:
    """Line by line, but for the name, the comment, and where it writes."""
    shown = recipes(tmp_path).drafts(PLAN)[name].splitlines()
    submitted = all_scripts(tmp_path)[name].path.read_text().splitlines()
    others = [here for here, there in zip(shown, submitted, strict=True) if here != there]
    assert others and all(OWN_LINE.match(line) for line in others), others


OWN_LINE = re.compile(r"#SBATCH --(job-name|comment|output)=|RUN_FOLDER=|SERVER=|export DAYZERO_|# ")


def lint(path: Path) -> None:
    """bash itself and shellcheck agree to the script."""
    for argv in (["bash", "-n", str(path)], ["shellcheck", "--severity=style", str(path)]):
        if shutil.which(argv[0]) is None:
            pytest.skip(f"{argv[0]} is not installed")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["cache", "serve", "gauntlet"])
def test_golden(tmp_path: Path, name: str) -> None:
    """Each template's text, word for word. When a change is meant: delete tests/golden/<name>.sbatch, run again."""
    text = all_scripts(tmp_path)[name].path.read_text()
    text = text.replace(str(tmp_path), "/shared").replace(str(SOURCE), "/opt/dayzero/source")
    golden = GOLDEN / f"{name}.sbatch"
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and is written; look at it, commit it, run again")
    assert text == golden.read_text()


@pytest.mark.parametrize("account", ["", "team"])
@pytest.mark.parametrize(
    "light",
    [
        {},
        {
            "light_qos": "light",
            "light_partition": "cpu",
            "wckey": "it's",
            "extra": ("--constraint=a&b", "--spread-job"),
        },
    ],
)
@pytest.mark.parametrize(("gpu_type", "nodes"), [("h100", 1), ("plain", 3), ("gone", 2), ("whole", 2)])
def test_every_shape_is_sound(tmp_path: Path, account: str, light: dict, gpu_type: str, nodes: int) -> None:
    """bash -n and shellcheck pass for every shape, and every shape has the same habits."""
    plan = replace(PLAN, account=account, gpu_type=gpu_type, nodes=nodes, qos="" if account else "serving")
    for name, script in all_scripts(tmp_path, plan, **light).items():
        lint(script.path)
        text = script.path.read_text()
        lines = text.splitlines()
        options = [line for line in lines if line.startswith("#SBATCH")]
        assert all(line.count(" --") == 1 for line in options), "one option a line"
        assert not any(line.startswith("#SBATCH") for line in lines[lines.index("set -euo pipefail") :])
        assert f"#SBATCH --job-name={script.key}" in options
        assert [line for line in lines if line.startswith("exec ")] == [lines[-1]]
        assert ("gpu" in " ".join(options)) == (name in ("serve", "draft"))
        assert bool(account) == any("--account=team" in line for line in options)


@pytest.mark.parametrize(
    ("gpu_type", "gpus", "asked"),
    [
        ("h100", 8, ["--cpus-per-task=64", "--mem=262144M"]),
        ("h100", 1, ["--cpus-per-task=8", "--mem=32768M"]),
        ("plain", 8, []),
        ("gone", 8, []),
        ("whole", 8, ["--exclusive", "--mem=0"]),
        ("whole", 4, ["--cpus-per-task=32", "--mem=131072M"]),
    ],
)
def test_a_server_asks_for_its_share_of_a_node(tmp_path: Path, gpu_type: str, gpus: int, asked: list[str]) -> None:
    """CPUs and memory follow the GPUs; 0 leaves them to the site; whole nodes only where every GPU is used."""
    plan = replace(PLAN, gpu_type=gpu_type, gpus_per_node=gpus)
    text = all_scripts(tmp_path, plan)["serve"].path.read_text()
    found = re.findall(r"^#SBATCH (--(?:cpus-per-task|mem|exclusive).*)$", text, re.MULTILINE)
    assert sorted(found) == sorted(asked)


def test_the_sites_own_options(tmp_path: Path) -> None:
    """What the site adds stands in the scripts, quoted; servers and light jobs have each their own list."""
    more = {"extra": ("--constraint=a&b", "--spread-job"), "light_extra": ("--nice=100",), "wckey": "models"}
    texts = {name: script.path.read_text() for name, script in all_scripts(tmp_path, **more).items()}
    for name, text in texts.items():
        server = name in ("serve", "draft")
        assert ("#SBATCH --constraint='a&b'\n#SBATCH --spread-job\n" in text) == server
        assert ("#SBATCH --nice=100\n" in text) != server
        assert "#SBATCH --wckey=models\n" in text
        assert f"#SBATCH --comment=dayzero/{'draft' if name == 'draft' else 'toy-llama-1'}\n" in text


def test_keys_are_the_names(tmp_path: Path) -> None:
    """Job names are those that recovery looks for; the file is named after them and lies in the run folder."""
    scripts = all_scripts(tmp_path)
    assert [s.key for s in scripts.values()][:3] == [
        "dz-toy-llama-1-cache-1", "dz-toy-llama-1-serve-1", "dz-toy-llama-1-exam-2-1",
    ]  # fmt: skip
    assert scripts["serve"].path == tmp_path / "runs/toy-llama-1/dz-toy-llama-1-serve-1.sbatch"
    assert scripts["draft"].key == f"dz-draft-{PLAN.digest}"
    assert not scripts["draft"].path.is_relative_to(tmp_path / "runs")


def test_output_folders_exist(tmp_path: Path) -> None:
    """Slurm doesn't make the folder of --output, and a job without one dies without a word."""
    for name, script in all_scripts(tmp_path).items():
        output = re.search(r"^#SBATCH --output=(.+)$", script.path.read_text(), re.MULTILINE)[1]
        assert Path(output).parent.is_dir(), name


def test_asking_twice(tmp_path: Path) -> None:
    """The same decision gives the same files, and plan.json isn't touched again: a job may be reading it."""
    first = all_scripts(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert all_scripts(tmp_path) == first
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_launch_json(tmp_path: Path) -> None:
    """The launcher's input says everything, so that a node needs no settings."""
    all_scripts(tmp_path)
    launch = json.loads((tmp_path / "runs/toy-llama-1/servers/1/launch.json").read_text())
    assert launch["v"] == 1
    assert launch["model_folder"] == str(tmp_path / "models/acme/toy-llama" / PLAN.revision)
    assert (launch["served_name"], launch["address"]) == ("acme/toy-llama", "10.0.0.7")
    assert launch["plan"]["tensor_parallel"] == 8
    assert launch["ladder"] == [
        {"engine": "vllm", "runtime": "vllm", "argv": ["/opt/vllm/bin/vllm"], "args": ["--a", "b c"],
         "environment": {"K": "v"}, "start_timeout_s": 3600.0, "why": "the first choice"},
        {"engine": "transformers", "runtime": "transformers", "argv": ["/opt/hf/bin/transformers"], "args": ["--x"],
         "environment": {}, "start_timeout_s": 60.0, "why": "when vLLM can't"},
    ]  # fmt: skip


def test_runtime_that_left_the_settings(tmp_path: Path) -> None:
    """A plan for a runtime that no longer exists is a sentence, not a KeyError."""
    plan = replace(PLAN, ladder=(Rung(engine="vllm", runtime="nightly"),))
    with pytest.raises(BadSettings, match="nightly"):
        recipes(tmp_path).serve(deployment(plan), server())


def test_secrets_stay_out(tmp_path: Path) -> None:
    """Jobs drop the service's secrets from their environment; only caching keeps the Hub's token."""
    for name, script in all_scripts(tmp_path).items():
        dropped = (
            re.search(r"^unset ((?:.+\\\n)*.+)$", script.path.read_text(), re.MULTILINE)[1].replace("\\", "").split()
        )
        assert set(dropped) == set(SECRETS) - ({"HF_TOKEN"} if name == "cache" else set())


def test_the_port(tmp_path: Path) -> None:
    """Recipes has every method of the port, and plan() takes wishes."""
    made = recipes(tmp_path)
    assert all(callable(getattr(made, name)) for name in vars(RecipesPort) if not name.startswith("_"))


def stand_in(folder: Path) -> Path:
    """A program in Python's place that writes down how it was called."""
    program = folder / "it's a $(python)"
    program.write_text('#!/bin/bash\nprintf "%s\\0" "$@" "$PYTHONPATH" > "$SEEN"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("word", NASTY)
@pytest.mark.parametrize("name", ["cache", "serve", "gauntlet"])
def test_hostile_names_arrive_as_they_are(tmp_path: Path, name: str, word: str) -> None:
    """A script with shell characters in all its values: the payload gets them to the letter, and nothing else runs."""
    source = (SOURCE / "sbatch_templates" / f"{name}.sbatch").read_text()
    values: dict[str, object] = dict.fromkeys(re.findall(r"{[{%] (?:if )?([a-z_]+) [%}]}", source), word)
    for word_of_jinja in ("endif", "else", "endfor"):
        values.pop(word_of_jinja, None)
    values |= {"option": "constraint", "extra": [("constraint", word)], "shares": 1}
    script = tmp_path / "hostile.sbatch"
    script.write_text(
        Templates(SOURCE / "sbatch_templates").render(f"{name}.sbatch", **{**values, "python": stand_in(tmp_path)})
    )
    seen = tmp_path / "seen"
    env = {**os.environ, "SEEN": str(seen), "SLURM_ARRAY_TASK_ID": "3"}
    subprocess.run(["bash", str(script)], cwd=tmp_path, env=env, check=True, timeout=20)
    assert (
        seen.read_text().split("\0")[:-1]
        == {
            "cache": ["-m", "batch.payloads.cache_weights", "--run-folder", word, word],
            "serve": ["-m", "batch.payloads.serve", "--run-folder", word, "--server", word, word],
            "gauntlet": ["-m", "gauntlet.runner", "--folder", word, "--shard", "3", word],
        }[name]
    )
    assert not (tmp_path / "PWNED").exists()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_quoting(text: str) -> None:
    """Any text comes back from a shell exactly as it went in, or is refused; a comment can't be broken out of."""
    try:
        quoted = quote(text)
    except Refused:
        assert not text.isprintable()
        return
    assert len(f"x{quoted}x".splitlines()) == 1
    script = f"# {quoted}\n#SBATCH --job-name={quoted}\nprintf %s {quoted}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == text


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "a\u2028b", "\x1b[0m", None, True, ["x"], b"x"])
def test_no_value_for_a_script(bad: object) -> None:
    """Line breaks, control characters and what isn't text or a number are refused."""
    with pytest.raises(Refused):
        quote(bad)


def test_forgotten_value(tmp_path: Path) -> None:
    """A template that asks for what nobody gave fails instead of leaving a hole."""
    (tmp_path / "x.sbatch").write_text("a={{ nothing }}")
    with pytest.raises(UndefinedError, match="nothing"):
        Templates(tmp_path).render("x.sbatch")


def test_every_value_goes_through_the_filter() -> None:
    """No template switches the quoting off, or has a filter of its own."""
    for path in (SOURCE / "sbatch_templates").iterdir():
        for expression in re.findall(r"{{(.*?)}}", path.read_text()):
            assert re.fullmatch(r" [a-z_]+ ", expression), f"{path.name}: {expression}"


def test_times_and_patterns() -> None:
    """Slurm's way of writing a limit, and a folder whose % is not a pattern."""
    assert [time_limit(s) for s in (1, 60, 61, 3600, 90000)] == [
        "0-00:01:00", "0-00:01:00", "0-00:02:00", "0-01:00:00", "1-01:00:00",
    ]  # fmt: skip
    assert output_pattern(Path("/a%j"), "x-%j") == "/a%%j/x-%j"


def test_light_jobs(tmp_path: Path) -> None:
    """Caching and tests go where jobs without a GPU belong; without such a place, to the usual partition."""
    light = all_scripts(tmp_path, light_qos="light", light_partition="cpu")
    for name, other in itertools.product(("cache", "gauntlet"), ("serve",)):
        text = light[name].path.read_text()
        assert "#SBATCH --partition=cpu\n" in text and "#SBATCH --qos=light\n" in text
        assert "#SBATCH --partition=serving\n" in light[other].path.read_text()
    assert "--qos" not in all_scripts(tmp_path)["cache"].path.read_text()
    assert settings(tmp_path).cluster.light_qos == ""


def test_the_researchers_template() -> None:
    """It is a plain script that nobody renders, it lints, and the page for researchers shows the same way out."""
    template = SOURCE / "sbatch_templates" / "research.sbatch"
    lint(template)
    text, page = template.read_text(), (SOURCE / "docs" / "preemption.md").read_text()
    assert "{{" not in text and "#SBATCH --requeue\n" in text
    for word in ('scontrol show job "$SLURM_JOB_ID" | grep -q "PreemptTime=[0-9]"', 'scontrol requeue "$SLURM_JOB_ID"'):
        assert word in text and word in page
