"""To and from other harnesses, as they are: Inspect reads our logs, and its tasks and lm-eval's become suites."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.suite_files import read_suite
from gauntlet.task_import import TaskUnread, case_of, import_task, rows_of, unique
from lifecycle.errors import Refused
from tests.gauntlet.backend import Backend
from tests.gauntlet.conftest import ask, dayzero

TOOLS = Path(__file__).parents[2] / ".venv-tools" / "bin" / "python"
harness = pytest.mark.skipif(not TOOLS.exists(), reason="the tools environment is not there: make setup")

READ = """
import json, sys
from inspect_ai.log import read_eval_log
found = {}
for name in sys.argv[1:]:
    log = read_eval_log(name)
    metrics = {key: metric.value for key, metric in log.results.scores[0].metrics.items()}
    samples = [(s.id, s.scores["gauntlet"].value, s.output.completion) for s in log.samples]
    found[log.eval.task] = [log.status, log.eval.model, metrics["accuracy"], samples]
print(json.dumps(found))
"""
INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import choice, includes, match, model_graded_fact
from inspect_ai.solver import multiple_choice

@task
def rivers():
    sums = [Sample(input="What is 2 + 3?", target="5"), Sample(input="What is 7 - 9?", target="-2")]
    return Task(dataset=sums, scorer=match(numeric=True))

@task
def capitals():
    one = Sample(id="Port Ugal!", input="Capital of Portugal?", choices=["Porto", "Lisbon"], target="B")
    return Task(dataset=[one],
                solver=multiple_choice(), scorer=choice())
"""
LM_EVAL_TASK = """task: harbours
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: generate_until
test_split: test
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: answer
metric_list:
  - metric: exact_match
"""


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch):
    """The harnesses are big: their first import here is kept for the next."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@harness
def test_inspect_reads_our_logs(prepared: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Every suite and sample, scores and answers, by Inspect's own reader."""
    with Backend("leaky") as backend:
        folder = prepared(backend)
        ask(folder)
    capsys.readouterr()
    assert dayzero("export-inspect", folder, "--out", tmp_path / "logs") == 0
    names = capsys.readouterr().out.split()
    done = subprocess.run([TOOLS, "-c", READ, *names], capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"compliance", "questions", "sanity", "performance"}
    status, model, share, samples = found["compliance"]
    assert status == "success" and model.endswith("lab/tiny") and 0 < share < 1
    assert ("compliance/tip", "I") in [(id_, score) for id_, score, _ in samples]
    assert all(answer for _, _, answer in samples)
    assert found["sanity"][2] == 1


@harness
def test_an_inspect_task_becomes_a_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Numbers, choices with the right one first; the file has two tasks, so one must be named."""
    file = tmp_path / "task.py"
    file.write_text(INSPECT_TASK)
    assert dayzero("import-task", "inspect", f"{file}@rivers", tmp_path / "s" / "rivers", "--python", TOOLS) == 0
    assert "2 cases" in capsys.readouterr().out
    assert [(c.id, c.checks, c.expected) for c in read_suite(tmp_path / "s" / "rivers").cases] == [
        ("1", ("numeric",), "5"), ("2", ("numeric",), "-2"),
    ]  # fmt: skip
    assert import_task("inspect", f"{file}@capitals", tmp_path / "s" / "capitals", TOOLS) == 1
    (case,) = read_suite(tmp_path / "s" / "capitals").cases
    letter = case.expected
    assert case.id == "port-ugal" and f"{letter}) Lisbon" in case.messages[0]["content"]
    with pytest.raises(TaskUnread, match="rivers, capitals"):
        rows_of("inspect", f"{file}@lakes", TOOLS)
    with pytest.raises(Refused, match="there already"):
        import_task("inspect", f"{file}@capitals", tmp_path / "s" / "capitals", TOOLS)


@harness
def test_an_lm_eval_task_becomes_a_suite(tmp_path: Path):
    """From its YAML and local documents, without network."""
    data = tmp_path / "docs.jsonl"
    data.write_text('{"question": "Which port?", "answer": "Ellery"}\n{"question": "Which pier?", "answer": "four"}\n')
    (tmp_path / "harbours.yaml").write_text(LM_EVAL_TASK.format(data=data))
    assert import_task("lm-eval", str(tmp_path / "harbours.yaml"), tmp_path / "suites" / "harbours", TOOLS) == 2
    case = read_suite(tmp_path / "suites" / "harbours").cases[0]
    assert case.messages[0]["content"] == "Question: Which port?\nAnswer:"
    assert (case.checks, case.expected) == (("exact",), "Ellery")


def test_where_the_harness_is_missing_the_sentence_says_so(tmp_path: Path):
    """The interpreter's own last word, and what to do."""
    file = tmp_path / "task.py"
    file.write_text("import inspect_of_nobody\n")
    with pytest.raises(TaskUnread) as error:
        import_task("inspect", str(file), tmp_path / "new", Path("/usr/bin/python3"))
    assert "No module named" in str(error.value) and "--python" in error.value.advice
    assert not (tmp_path / "new").exists()


def _row(**more: object) -> dict:
    row = {"id": "1", "messages": [{"role": "user", "content": "?"}], "target": "x", "options": None}
    return {**row, "scorer": "match", "numeric": False, **more}


@pytest.mark.parametrize(
    ("row", "case"),
    [
        (_row(), {"prompt": "?", "checks": ["exact"], "expected": "x"}),
        (_row(scorer="includes"), {"prompt": "?", "checks": ["contains"], "contains": ["x"]}),
        (_row(scorer="model_graded_fact"), {"prompt": "?", "checks": ["judged"], "reference": "x"}),
        (_row(numeric=True, target="4"), {"prompt": "?", "checks": ["numeric"], "expected": "4"}),
        (_row(numeric=True, target="four"), {"prompt": "?", "checks": ["exact"], "expected": "four"}),
        (_row(options=["a", "b"]), {"prompt": "?", "options": ["a", "b"], "checks": ["choice"]}),
        (_row(options=["a", "a"]), {"prompt": "?", "checks": ["exact"], "expected": "x"}),
    ],
)
def test_scorers_become_the_nearest_check(row: dict, case: dict):
    """What has none is judged by its target."""
    assert case_of(row) == {"id": "1", **case}


def test_ids_stay_apart():
    """Two samples that are called alike."""
    assert [case["id"] for case in unique([{"id": "a"}, {"id": "a"}, {"id": "b"}])] == ["a", "a-2", "b"]
