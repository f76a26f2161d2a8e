"""The third reader, pyslurm, always in a child process: what it says of a queue, and how it fails.

The far end is a stand-in for the compiled module, with the attributes that pyslurm 25.11 was seen to have on a real
Slurm (its quirks included), filled from a recorded queue. `make test-slurm-latest` has the module itself.
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

class Gpu:
    def __init__(self, count):
        self.count = count

class Job:
    def __init__(self, id, fields={}):
        self.id = id
        self.__dict__.update(fields)
        self.gpus = {name: Gpu(count) for name, count in fields.get("gpus", {}).items()}
    def cancel(self):
        (HERE / "cancelled").write_text(str(self.id))
    requeue = cancel

class Jobs(dict):
    @staticmethod
    def load(preload_passwd_info=False, frozen=False):
        found = json.loads((HERE / "jobs.json").read_text())
        return Jobs({job["id"]: Job(job["id"], job) for job in found})
"""


def queue() -> list[dict]:
    """The recorded queue as pyslurm's attributes have it: None where the text says nothing."""
    jobs = []
    for row in read_squeue(recorded("squeue-26.05.txt"), MARK):
        code, _, signal = (row.exit_code or "0:0").partition(":")
        per_node = row.gpus // max(1, row.node_count)
        numbers = int(row.tasks) if row.tasks.isdigit() else None
        jobs.append(
            {
                "id": int(row.raw), "array_id": int(row.job) if row.tasks else None,
                "array_task_id": numbers or None,  # so is 0
                "array_tasks_waiting": None if row.tasks.isdigit() or not row.tasks else row.tasks,
                "state": row.word, "user_name": row.user, "qos": row.qos, "state_reason": row.reason,
                "allocated_nodes": row.nodes or None, "num_nodes": row.node_count,
                "gpus": {"gpu": row.gpus} if row.gpus and row.word == "RUNNING" else {},
                "gres_per_node": {"gres/gpu:toy": per_node} if row.gpus else {},
                "submit_time": row.submitted_at, "start_time": row.start, "requeue_count": row.restarts,
                "exit_code": int(code), "exit_code_signal": int(signal or 0), "name": row.name,
            }
        )  # fmt: skip
    return jobs


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder in which the child finds `pyslurm`."""
    (tmp_path / "pyslurm").mkdir()
    (tmp_path / "pyslurm" / "__init__.py").write_text(STAND_IN)
    (tmp_path / "pyslurm" / "jobs.json").write_text(json.dumps(queue()))
    python = tmp_path / "python"  # a Python of its own that has pyslurm
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path / "pyslurm" / "__init__.py"


class Far:
    """Slurm's commands, which answer with an empty queue or not at all; the child is run for real."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = False

    def __call__(self, argv: list[str], timeout_s: float) -> Answer:
        if "python" in argv[0]:
            return commands.run(argv, timeout_s)
        self.asked.append(argv[0])
        return Answer(0, "", "") if self.answers else Answer(1, "", "Unable to contact slurm controller")


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def reader(far: Far, module: Path) -> Reader:
    return Reader(far, 30, "pyslurm", str(module.parent.parent / "python"))


def test_it_reads_what_the_text_says(reader: Reader, far: Far) -> None:
    """Every field of every recorded job, by a real child process; no squeue is asked. Names are picked from it."""
    found = by_raw(reader.squeue())
    text = by_raw(read_squeue(recorded("squeue-26.05.txt"), MARK))
    assert found == {raw: row._replace(exit_code=row.exit_code or "0:0") for raw, row in text.items()}
    assert found.keys() == by_raw(read_squeue_json(recorded("squeue-26.05.json"))).keys()
    assert reader.name == "pyslurm 25.11.2 in a process of its own"
    name = text["5"].name
    assert [row.raw for row in reader.squeue([name])] == [raw for raw, row in text.items() if row.name == name]
    assert not far.asked


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ImportError('libslurm.so.40: cannot open')", "libslurm.so.40"),
        ("import os; os._exit(1)", "ended with status 1"),  # as libslurm does without slurm.conf
        ("import os; os.abort()", "ended with status"),
        ("class Jobs:\n    load = staticmethod(lambda **_: 1 / 0)", "ZeroDivisionError"),
        ("class Jobs:\n    load = staticmethod(lambda **_: {1: 1})", "AttributeError"),
    ],
)
def test_where_it_does_not_match_text_is_read_and_check_says_why(
    reader: Reader, far: Far, module: Path, body: str, says: str
) -> None:
    """Not built for this Slurm, no configuration, refused by the controller: the service lives, the text is asked, and
    as the text answers, pyslurm is asked no more.
    """
    module.write_text(body)
    far.answers = True
    assert reader.squeue() == []
    assert reader.name.startswith("formatted text, because pyslurm") and says in reader.name
    module.write_text(STAND_IN)
    assert reader.squeue() == [] and far.asked == ["squeue", "squeue"]


def test_without_pyslurm(far: Far) -> None:
    """As here: the sentence says what to do about it."""
    far.answers = True
    reader = Reader(far, 30, "pyslurm")
    assert "can't be imported" in reader.name and "built for this site's Slurm" in reader.name


def test_a_hanging_controller_costs_the_time_limit_and_nothing_else(reader: Reader, module: Path) -> None:
    """It holds its interpreter's lock: only from outside can it be ended. The commands are silent too, so no answer is
    not 'gone', and pyslurm is asked again.
    """
    assert reader.squeue()
    module.write_text("import time; time.sleep(600)")
    reader._timeout_s = 1.0
    with pytest.raises(SchedulerSilent, match="Unable to contact"):
        reader.squeue()
    module.write_text(STAND_IN)
    reader._timeout_s = 30
    assert reader.squeue() and reader.name.startswith("pyslurm 25.11.2")


def test_it_cancels(reader: Reader, module: Path) -> None:
    """What it can't do, a task of an array or where it fails, is left to the commands."""
    assert reader.act("cancel", "7") and (module.parent / "cancelled").read_text() == "7"
    assert not reader.act("cancel", "7_1")
    module.write_text("raise ImportError('gone')")
    assert not reader.act("cancel", "8") and not Reader(Far(), 1).act("cancel", "8")


@pytest.mark.parametrize("out", ["", "[]", '{"jobs": [1]}', '{"jobs": [{"id": 1}]}'])
def test_what_is_no_answer(out: str) -> None:
    """Anything else than the queue is silence."""
    with pytest.raises(SchedulerSilent, match="can't be read"):
        pyslurm_reader.read(Answer(0, out, ""))
