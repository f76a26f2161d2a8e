"""The parsers, over what a real Slurm 22.05 printed (tests/golden) and over what other versions print."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from batch.scheduler.commands import Answer, reading_environment, said
from batch.scheduler.forecast_text import read_forecast
from batch.scheduler.rows import Row, sighting
from batch.scheduler.sacct_text import read_sacct
from batch.scheduler.slurm_text import exit_code_of, gpus_of, nodes_of, tasks_of, time_of
from batch.scheduler.squeue_text import read_squeue
from lifecycle.jobs import JobState

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def queue() -> dict[str, Row]:
    return {row.raw: row for row in read_squeue((GOLDEN / "squeue-22.05.txt").read_text(), "mark")}


def test_a_running_job(queue: dict[str, Row]):
    """Every field of a running job arrives."""
    seen = sighting([queue["31"]])
    assert (seen.handle, seen.name, seen.state, seen.user, seen.qos) == (
        "31", "m-serve-1", JobState.RUNNING, "root", "serving",
    )  # fmt: skip
    assert (seen.nodes, seen.node_count, seen.gpus) == (("toy-01", "toy-02", "toy-03"), 3, 3)
    assert (seen.submitted_at, seen.started_at, seen.expected_start) == (1795456699, 1795456699, None)
    assert seen.reason == ""


def test_a_preempted_job_that_waits_again(queue: dict[str, Row]):
    """It is QUEUED, with one restart more, and says when it may run."""
    seen = sighting([queue["24"]])
    assert (seen.state, seen.restarts, seen.expected_start) == (JobState.QUEUED, 1, 1795456820)
    assert (seen.gpus, seen.nodes, seen.started_at, seen.reason) == (2, (), None, "BeginTime")


def test_a_name_may_hold_anything(queue: dict[str, Row]):
    """Line breaks and our own separators in a name break neither its record nor the next one."""
    assert queue["25"].name == 'odd|name\nwith\x1fall of é "it"'
    assert queue["26"].name == "sweep"


def test_a_name_can_not_forge_a_record():
    """Without the mark, which is new each time, a name can't end its own record and begin another."""
    true = "\x1f".join(["7", "7", *["x"] * 16, "evil\x1e\n8\x1f8" + "\x1fRUNNING" * 16 + "\x1fforged\x1emark\n"])
    assert [row.raw for row in read_squeue(true, "mark")] == ["7"]


def test_an_array_is_one_job(queue: dict[str, Row]):
    """The running task and the waiting rest add up, with the tasks by index; the throttle is no task."""
    rows = [row for row in queue.values() if row.job == "26"]
    seen = sighting(rows)
    assert (seen.handle, seen.state, seen.nodes, seen.gpus) == ("26", JobState.RUNNING, ("toy-04",), 1)
    assert seen.tasks[0] is JobState.RUNNING
    assert {k for k, state in seen.tasks.items() if state is JobState.QUEUED} == set(range(2, 20, 2))


def test_an_ended_job_keeps_its_exit_code(queue: dict[str, Row]):
    """squeue shows jobs that ended a moment ago, with the raw wait status."""
    assert (queue["21"].state, queue["21"].exit_code) == (JobState.FAILED, "3:0")
    assert queue["28"].state is JobState.CANCELLED


def test_a_record_that_can_not_be_read_is_unknown_not_missing():
    """A job whose line is damaged must not look as if it had left the queue."""
    (row,) = read_squeue("12\x1f12\x1fN/A\x1emark\n", "mark")
    assert (row.raw, row.state) == ("12", JobState.UNKNOWN)


def test_sacct_shows_the_newest_of_a_jobs_lives():
    """-D prints each life of a requeued job: the newest counts, the others are restarts."""
    rows = {row.raw: row for row in read_sacct((GOLDEN / "sacct-22.05.txt").read_text(), "mark")}
    assert (rows["24"].word, rows["24"].restarts) == ("PENDING", 1)
    assert (rows["28"].state, rows["28"].word) == (JobState.CANCELLED, "CANCELLED by 0")
    assert rows["26"].numbers == tuple(range(2, 20, 2)) and rows["30"].job == "26" and rows["30"].tasks == "0"
    assert rows["29"].gpus == 2


def test_sacct_with_a_job_id_that_was_used_before():
    """Ids begin anew some day: an older job of another name is no earlier life."""
    def line(submitted: str, word: str, name: str) -> str:
        return "\x1fm".join(["5", "5", word, "0:0", "u", "q", submitted, "1", "1", "", "", "n1", name])

    newer, older = line("200", "COMPLETED", "now"), line("100", "FAILED", "then")
    for text in (f"{newer}\n{older}\n", f"{older}\n{newer}\n"):
        (row,) = read_sacct(text, "m")
        assert (row.name, row.word, row.restarts) == ("now", "COMPLETED", 0)


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("cpu=2,mem=2000M,node=2,billing=2,gres/gpu=2", 2),
        ("cpu=2,gres/gpu=2,gres/gpu:h100=2", 2),
        ("gres:gpu:8", 8),
        ("gres:gpu:h100:8", 8),
        ("gres/gpu:h100:8", 8),
        ("gres/gpu:a100:2,gres/gpu:h100:1", 3),
        ("gpu:4", 0),
        ("gres:gpu", 1),
        ("gres:gpu:h100", 1),
        ("gres:gpu:h100:4(S:0-1)", 4),
        ("gres:license:3", 0),
        ("N/A", 0),
        ("", 0),
    ],
)
def test_gpus(text: str, gpus: int):
    """Each way in which a Slurm between 22.05 and 26.05 writes GPUs."""
    assert gpus_of(text) == gpus


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("toy-[01-02]", ("toy-01", "toy-02")),
        ("toy-[01,04],big7", ("toy-01", "toy-04", "big7")),
        ("r[1-2]n[08-09]", ("r1n08", "r1n09", "r2n08", "r2n09")),
        ("localhost,localhost", ("localhost", "localhost")),
        ("None assigned", ()),
        ("", ()),
    ],
)
def test_node_lists(text: str, nodes: tuple[str, ...]):
    """Ranges keep their zeros; several brackets multiply."""
    assert nodes_of(text) == nodes


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("3", (3,)),
        ("[0-3%5]", (0, 1, 2, 3)),
        ("0-4:2,7", (0, 2, 4, 7)),
        ("0-3,...", (0, 1, 2, 3)),
        ("1-3:0", ()),
        ("N/A", ()),
    ],
)
def test_array_tasks(text: str, tasks: tuple[int, ...]):
    """Ranges, steps, lists and the throttle; nonsense is no task."""
    assert tasks_of(text) == tasks


def test_times():
    """Epoch seconds as we ask for them, local time when that was ignored, and the words for 'never'."""
    assert time_of("1795455904") == 1795455904
    assert time_of("2026-11-23T17:45:04") == time.mktime((2026, 11, 23, 17, 45, 4, 0, 0, -1))
    assert [time_of(word) for word in ("N/A", "Unknown", "NONE", "", "0")] == [None] * 5


def test_exit_codes():
    """squeue gives the wait status or (newer) code:signal, sacct code:signal."""
    assert [exit_code_of(text) for text in ("768", "9", "0", "3:0", "")] == ["3:0", "0:9", "0:0", "3:0", ""]


def test_forecasts():
    """22.05 and 26.05 word it differently; the victims are on a second line, or there are none."""
    old = "sbatch: Job 6 to start at 1795455906 using 4 processors on nodes toy-[01-04] in partition serving\n"
    assert read_forecast(old + "sbatch:   Preempts: 4,5,1\n") == (1795455906, ("4", "5", "1"))
    assert read_forecast("sbatch: Job 7 to start at 1795455906 a using 2 processors") == (1795455906, ())
    assert read_forecast("") == (None, ())


def test_complaints_lose_their_prefixes():
    """Slurm's own sentence is what a person reads."""
    err = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid\n\n"
    assert said(Answer(1, "", err)) == "invalid partition specified: nope; Invalid"


def test_habits_of_a_shell_do_not_bend_what_we_read():
    """SQUEUE_STATES=R in somebody's profile would make waiting jobs look gone."""
    env = reading_environment({"SQUEUE_STATES": "R", "SLURM_CLUSTERS": "b", "SACCT_FORMAT": "x", "SLURM_CONF": "/c"})
    assert env["SLURM_CONF"] == "/c" and not {"SQUEUE_STATES", "SLURM_CLUSTERS", "SACCT_FORMAT"} & env.keys()


def test_what_a_line_costs():
    """A large site's queue must not cost a noticeable part of a tick: so many calls a job, however many there are.

    Calls are counted, not seconds: 11,000 jobs took 0.2 s (bench/cluster_read.py has the time).
    """
    records = (GOLDEN / "squeue-22.05.txt").read_text().split("\x1emark\n")[:-1]
    costs = []
    for jobs in (1_000, 11_000):
        text = "".join(
            f"{number}\x1f{number}\x1f{records[number % len(records)].split(chr(31), 2)[2]}\x1emark\n"
            for number in range(1, jobs + 1)
        )
        calls = Counter()
        sys.setprofile(lambda frame, event, of, calls=calls: calls.update([event]))
        try:
            seen = [sighting([row]) for row in read_squeue(text, "mark")]
        finally:
            sys.setprofile(None)
        assert len(seen) == jobs
        costs.append((calls["call"] + calls["c_call"]) / jobs)
    assert max(costs) < CALLS_A_JOB and abs(costs[0] - costs[1]) < 1, costs


CALLS_A_JOB = 60  # measured: 56, the most in C
