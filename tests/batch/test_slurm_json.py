"""The JSON reader against the text reader: recorded from one Slurm 26.05.5 at one moment, they say the same."""

import json
from pathlib import Path

import pytest

from batch.scheduler.commands import Answer
from batch.scheduler.readers import Reader
from batch.scheduler.rows import Row, sighting
from batch.scheduler.sacct_text import read_sacct
from batch.scheduler.slurm import SlurmScheduler
from batch.scheduler.slurm_json import read_sacct_json, read_squeue_json
from batch.scheduler.squeue_text import read_squeue
from lifecycle.errors import SchedulerSilent
from lifecycle.jobs import JobState
from lifecycle.sections.cluster import Cluster

GOLDEN = Path(__file__).parents[1] / "golden"
MARK = "0" * 12


def recorded(name: str) -> str:
    return (GOLDEN / name).read_text()


def by_raw(rows: list[Row]) -> dict[str, Row]:
    return {row.raw: row for row in rows}


def test_the_queue_reads_the_same() -> None:
    """Every field of every job: running, waiting, failed, cancelled, an array, requeued victims, an odd name."""
    text = by_raw(read_squeue(recorded("squeue-26.05.txt"), MARK))
    assert by_raw(read_squeue_json(recorded("squeue-26.05.json"))) == text
    assert {row.word for row in text.values()} == {"RUNNING", "PENDING", "FAILED", "CANCELLED"}
    assert text["3"].restarts == 1 and text["7"].gpus == 16 and text["4"].exit_code == "3:0"
    assert text["6"].numbers == tuple(range(10)) and text["5"].name == 'odd "name" ü|x'


def test_the_history_says_the_same() -> None:
    """The same jobs with the same fate, GPUs, nodes and restarts. Only the words differ where Slurm's own do."""
    text, parsed = (
        by_raw(read_sacct(recorded("sacct-26.05.txt"), MARK)),
        by_raw(read_sacct_json(recorded("sacct-26.05.json"))),
    )
    assert text.keys() == parsed.keys()
    for raw, row in text.items():
        other = parsed[raw]
        one, two = sighting([row._replace(tasks="")]), sighting([other._replace(tasks="")])
        assert (one.state, one.gpus, one.nodes, one.restarts, one.qos, one.user, one.exit_code, one.submitted_at) == (
            two.state, two.gpus, two.nodes, two.restarts, two.qos, two.user, two.exit_code, two.submitted_at
        )  # fmt: skip
        assert (row.job, row.numbers, row.start) == (other.job, other.numbers, other.start)
    assert parsed["3"].restarts == 1, "preempted once, waiting now"


class Slurm:
    """Plays squeue and sacct of 26.05 from the recordings; `refuses` makes the text fail as an unknown field does."""

    def __init__(self, refuses: bool = False, has_json: bool = True) -> None:
        self.refuses, self.has_json, self.asked = refuses, has_json, []

    def __call__(self, argv: list[str], timeout_s: float) -> Answer:
        as_json = any(word.startswith("--json") for word in argv)
        self.asked.append(f"{argv[0]} {'json' if as_json else 'text'}")
        if as_json and not self.has_json:
            return Answer(1, "", "squeue: option '--json' doesn't allow an argument\n")
        if as_json:
            return Answer(0, recorded(f"{argv[0]}-26.05.json"), "")
        if self.refuses:
            return Answer(1, "", "squeue: error: Invalid job format specification: tres-alloc\n")
        marked = next(word for word in argv if word.startswith(("--Format", "--delimiter")))
        return Answer(0, recorded(f"{argv[0]}-26.05.txt").replace(MARK, marked[-12:]), "")


def looked(slurm: Slurm, tmp_path: Path, reader: str = "auto") -> tuple[SlurmScheduler, dict[str, JobState]]:
    scheduler = SlurmScheduler(Cluster(reader=reader), tmp_path, lambda: 1795462200.0, slurm)
    snapshot = scheduler.snapshot(["1", "2", "4", "6", "8"])
    assert snapshot.ok
    return scheduler, {handle: seen.state for handle, seen in snapshot.jobs.items()}


def test_whoever_reads_the_snapshot_is_the_same(tmp_path: Path) -> None:
    """Through the port: by text, by JSON as set, and by JSON because a field was refused, which is asked only once."""
    plain, states = looked(Slurm(), tmp_path)
    assert states["1"] is JobState.RUNNING and states["4"] is JobState.FAILED and states["8"] is JobState.CANCELLED
    assert looked(Slurm(), tmp_path, "json")[1] == states
    newer = Slurm(refuses=True)
    scheduler, seen = looked(newer, tmp_path)
    assert seen == states and newer.asked[:2] == ["squeue text", "squeue json"]
    scheduler.snapshot(["1"])
    assert newer.asked.count("squeue text") == 1
    assert (plain.reader.name, scheduler.reader.name) == ("formatted text", "JSON v0.0.42")


@pytest.mark.parametrize("reader", ["auto", "text"])
def test_a_slurm_without_that_json_keeps_its_first_complaint(tmp_path: Path, reader: str) -> None:
    """22.05 refuses the version: the answer is silence in the words of the text call, and JSON is not taken for it."""
    slurm = Slurm(refuses=True, has_json=reader == "text")
    snapshot = SlurmScheduler(Cluster(reader=reader), tmp_path, lambda: 0.0, slurm).snapshot(["1"])
    assert not snapshot.ok and "Invalid job format specification" in snapshot.silence


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": 5}', "slurm_load_jobs error"])
def test_json_that_is_none_is_silence(text: str) -> None:
    """Whatever comes instead of the JSON moves nothing."""
    reader = Reader(lambda argv, timeout_s: Answer(0, text, ""), 1, "json")
    with pytest.raises(SchedulerSilent, match="JSON"):
        reader.squeue()


def test_odd_records(tmp_path: Path) -> None:
    """Unset and infinite numbers, missing keys, unknown states: a row all the same, or none, but no error."""
    jobs = [{}, {"job_id": 5}, {"job_id": 6, "job_state": ["RUNNING", "COMPLETING"], "node_count": {"set": False}},
            {"job_id": 7, "start_time": {"set": True, "infinite": True, "number": 3}, "job_state": "DANCING"},
            ]  # fmt: skip
    rows = by_raw(read_squeue_json(json.dumps({"jobs": jobs})))
    assert [rows[raw].word for raw in ("5", "6", "7")] == ["", "COMPLETING", "DANCING"]
    assert rows["7"].start is None and rows["7"].state is JobState.UNKNOWN and rows["6"].state is JobState.RUNNING
