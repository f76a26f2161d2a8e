"""The third reader, pyslurm, always in a child process: what it says of a queue, and how it fails.

The far end is a stand-in for the compiled module, with the attributes of pyslurm 25.11, filled from a recorded queue.
"""

import json
import sys
from pathlib import Path

import pytest

from batch.scheduler import commands, pyslurm_reader
from batch.scheduler.commands import Answer
from batch.scheduler.readers import Reader
from batch.scheduler.slurm_json import read_squeue_json
from batch.scheduler.squeue_text import read_squeue
from lifecycle.errors import SchedulerSilent
from tests.batch.test_slurm_json import MARK, by_raw, recorded

STAND_IN = """
import json, pathlib
__version__ = "25.11.2"
HERE = pathlib.Path(__file__).parent

class Job:
    def __init__(self, fields):
        self.__dict__.update(fields)
    def get_resource_layout_per_node(self):
        return {node: {"gres": {"gpu:toy": {"count": n, "indexes": "0"}}} for node, n in self.layout.items()}

class Jobs(dict):
    @staticmethod
    def load(preload_passwd_info=False, frozen=False):
        found = json.loads((HERE / "jobs.json").read_text())
        return Jobs({job["id"]: Job(job) for job in found})
"""


def queue() -> list[dict]:
    """The recorded queue as pyslurm's attributes have it: None where the text says nothing."""
    jobs = []
    for row in read_squeue(recorded("squeue-26.05.txt"), MARK):
        code, _, signal = (row.exit_code or "0:0").partition(":")
        per_node = row.gpus // max(1, row.node_count)
        runs = row.word == "RUNNING"
        jobs.append(
            {
                "id": int(row.raw), "array_id": int(row.job) if row.tasks else None,
                "array_task_id": int(row.tasks) if row.tasks.isdigit() else None,
                "array_tasks_waiting": None if row.tasks.isdigit() or not row.tasks else row.tasks,
                "state": row.word, "user_name": row.user, "qos": row.qos, "state_reason": row.reason,
                "allocated_nodes": row.nodes or None, "num_nodes": row.node_count,
                "gres_per_node": {"gpu:toy": per_node} if row.gpus else {},
                "layout": {f"n{n}": per_node for n in range(row.node_count)} if runs and row.gpus else {},
                "submit_time": row.submitted_at, "start_time": row.start, "requeue_count": row.restarts,
                "exit_code": int(code), "exit_code_signal": int(signal or 0), "name": row.name,
            }
        )  # fmt: skip
    return jobs


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the child finds `pyslurm`."""
    (tmp_path / "pyslurm").mkdir()
    (tmp_path / "pyslurm" / "__init__.py").write_text(STAND_IN)
    (tmp_path / "pyslurm" / "jobs.json").write_text(json.dumps(queue()))
    here = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['x']; "
    start = f"{here}import runpy; runpy.run_path({str(pyslurm_reader.CHILD)!r}, run_name='__main__')"
    monkeypatch.setattr(pyslurm_reader, "argv", lambda: [sys.executable, "-I", "-c", start])
    return tmp_path / "pyslurm" / "__init__.py"


def refuse(argv: list[str], timeout_s: float) -> Answer:
    """Any of Slurm's own commands: text would be read."""
    return commands.run(argv, timeout_s) if argv[0] == sys.executable else Answer(1, "", f"{argv[0]} is asked")


def test_it_reads_what_the_text_says(module: Path) -> None:
    """Every field of every recorded job, by a real child process; no squeue is asked. Names are picked from it."""
    reader = Reader(refuse, 30, "pyslurm")
    found = by_raw(reader.squeue())
    text = by_raw(read_squeue(recorded("squeue-26.05.txt"), MARK))
    assert found == {raw: row._replace(exit_code=row.exit_code or "0:0") for raw, row in text.items()}
    assert found.keys() == by_raw(read_squeue_json(recorded("squeue-26.05.json"))).keys()
    assert reader.name == "pyslurm 25.11.2 in a process of its own"
    name = text["5"].name
    assert [row.raw for row in reader.squeue([name])] == [raw for raw, row in text.items() if row.name == name]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ImportError('libslurm.so.40: cannot open')", "libslurm.so.40"),
        ("import os; os._exit(1)", "ended with status 1"),  # as libslurm does without slurm.conf
        ("class Jobs:\n    load = staticmethod(lambda **_: 1 / 0)", "ZeroDivisionError"),
    ],
)
def test_where_it_does_not_match_text_is_read_and_check_says_why(module: Path, body: str, says: str) -> None:
    """Not built for this Slurm, no configuration, refused by the controller: the service lives, the text is asked."""
    module.write_text(body)
    reader = Reader(refuse, 30, "pyslurm")
    with pytest.raises(SchedulerSilent, match="squeue is asked"):
        reader.squeue()
    assert reader.name.startswith("formatted text, because pyslurm") and says in reader.name


def test_without_pyslurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As here: the sentence says what to do about it."""
    reader = Reader(refuse, 30, "pyslurm")
    assert "can't be imported" in reader.name and "built for this site's Slurm" in reader.name


def test_a_hanging_controller_costs_the_time_limit_and_nothing_else(module: Path) -> None:
    """It holds its interpreter's lock: only from outside can it be ended. No answer is not 'gone'."""
    reader = Reader(refuse, 30, "pyslurm")
    assert reader.squeue()
    module.write_text("import time; time.sleep(600)")
    reader._timeout_s = 1.0
    with pytest.raises(SchedulerSilent, match="no answer within 1 s"):
        reader.squeue()


@pytest.mark.parametrize("out", ["", "[]", '{"jobs": [1]}', '{"jobs": [{"id": 1}]}'])
def test_what_is_no_answer(out: str) -> None:
    """Anything else than the queue is silence."""
    with pytest.raises(SchedulerSilent, match="can't be read"):
        pyslurm_reader.read(Answer(0, out, ""))
