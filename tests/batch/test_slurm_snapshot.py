"""What a snapshot makes of the commands' answers, with the commands played from here."""

from pathlib import Path

import pytest

from batch.scheduler import commands
from batch.scheduler.commands import Answer, CommandMissing
from batch.scheduler.sacct_text import FIELDS as SACCT
from batch.scheduler.slurm import GRACE_S, SlurmScheduler
from batch.scheduler.squeue_text import FIELDS as SQUEUE
from lifecycle.errors import Refused, SchedulerSilent
from lifecycle.jobs import JobState
from lifecycle.ports import Script
from lifecycle.sections.cluster import Cluster


class Site:
    """A Slurm whose answers are dictionaries of fields, by command."""

    def __init__(self) -> None:
        self.queue: list[dict] = []
        self.history: list[dict] = []
        self.broken: dict[str, Answer | Exception] = {}
        self.asked: list[str] = []
        self.now = 1000.0

    def __call__(self, argv: list[str], timeout_s: float) -> Answer:
        self.asked.append(argv[0])
        answer = self.broken.get(argv[0])
        if isinstance(answer, Exception):
            raise answer
        return answer or Answer(0, getattr(self, argv[0])(argv), "")

    def squeue(self, argv: list[str]) -> str:
        mark = next(word for word in argv if word.startswith("--Format=")).rpartition("\x1e")[2]
        defaults = {"ArrayTaskID": "N/A", "State": "RUNNING", "NumNodes": "1", "StartTime": "900", "Name": "n"}
        rows = [{"ArrayJobID": row["JobID"]} | defaults | row for row in self.queue]
        return "".join(
            "\x1f".join([*(row.get(field, "") for field in SQUEUE), row["Name"]]) + f"\x1e{mark}\n" for row in rows
        )

    def sacct(self, argv: list[str]) -> str:
        delimiter = next(word for word in argv if word.startswith("--delimiter=")).partition("=")[2]
        defaults = {"State": "COMPLETED", "ExitCode": "0:0", "Submit": "1", "Start": "2", "NNodes": "1", "JobName": "n"}
        rows = [{"JobIDRaw": row["JobID"].partition("_")[0]} | defaults | row for row in self.history]
        return "".join(delimiter.join(row.get(field, "") for field in SACCT) + "\n" for row in rows)

    def scancel(self, argv: list[str]) -> str:
        return ""


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def slurm(site: Site, tmp_path: Path) -> SlurmScheduler:
    return SlurmScheduler(Cluster(), tmp_path, clock=lambda: site.now, run=site)


def test_silence_makes_nothing_gone(site: Site, slurm: SlurmScheduler):
    """Slurm's controller does not answer: no job is GONE, all are UNKNOWN, and the reason is one sentence."""
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    site.broken["squeue"] = Answer(1, "", words)
    snapshot = slurm.snapshot(["5"])
    assert not snapshot.ok and snapshot.look("5").state is JobState.UNKNOWN
    assert snapshot.silence == "squeue failed: Unable to contact slurm controller (connect failure)."


def test_a_command_that_hangs_is_silence(tmp_path: Path):
    """The time limit is real: the command is killed and the snapshot comes back."""
    with pytest.raises(SchedulerSilent, match=r"no answer within 0\.2 s"):
        commands.run(["sleep", "30"], 0.2)
    with pytest.raises(CommandMissing):
        commands.run([str(tmp_path / "squeue")], 1)


def test_without_slurm_a_snapshot_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No squeue on the PATH: silence, not an exception."""
    monkeypatch.setenv("PATH", str(tmp_path))
    snapshot = SlurmScheduler(Cluster(), tmp_path, clock=lambda: 0.0).snapshot(["1"])
    assert not snapshot.ok and "squeue" in snapshot.silence


def test_a_job_that_just_left_is_not_gone_at_once(site: Site, slurm: SlurmScheduler):
    """It has left squeue and isn't in sacct yet: UNKNOWN for a grace time, then GONE; being seen ends the wait."""
    for _ in range(2):
        assert slurm.snapshot(["5"]).look("5").state is JobState.UNKNOWN
        site.now += GRACE_S - 1
    site.history = [{"JobID": "5", "State": "FAILED", "ExitCode": "2:0"}]
    seen = slurm.snapshot(["5"]).look("5")
    assert (seen.state, seen.exit_code) == (JobState.FAILED, "2:0")
    site.history = []
    assert slurm.snapshot(["5"]).look("5").state is JobState.UNKNOWN
    site.now += GRACE_S
    assert slurm.snapshot(["5"]).look("5").state is JobState.GONE


def test_a_silent_slurmdbd_makes_nothing_gone(site: Site, slurm: SlurmScheduler):
    """squeue answers and sacct doesn't: who is in the queue is seen, who isn't stays UNKNOWN however long it takes."""
    site.queue = [{"JobID": "4"}]
    site.broken["sacct"] = Answer(1, "", "sacct: error: failed to open persistent connection: Connection refused\n")
    for _ in range(3):
        snapshot = slurm.snapshot(["4", "5"])
        assert snapshot.ok and snapshot.look("4").state is JobState.RUNNING
        assert snapshot.look("5").state is JobState.UNKNOWN and "sacct failed" in snapshot.look("5").reason
        site.now += 3600


@pytest.mark.parametrize(
    "answer", [Answer(1, "", "sacct: Slurm accounting storage is disabled\n"), CommandMissing("There is no sacct.")]
)
def test_a_site_without_accounting(site: Site, slurm: SlurmScheduler, answer):
    """sacct is missing or disabled: squeue alone tells, also about what ended a moment ago."""
    site.broken["sacct"] = answer
    site.queue = [{"JobID": "4", "State": "COMPLETED", "exit_code": "0", "Name": "done"}]
    slurm.snapshot(["5"])
    site.now += GRACE_S
    snapshot = slurm.snapshot(["4", "5"])
    assert snapshot.look("4").state is JobState.SUCCEEDED and snapshot.look("5").state is JobState.GONE
    assert slurm.find(["done", "other"]) == {"done": "4"}


def test_accounting_that_lags_is_not_believed(site: Site, slurm: SlurmScheduler):
    """squeue has forgotten it, sacct says RUNNING or REQUEUED: nobody knows yet."""
    for word in ("RUNNING", "PENDING", "REQUEUED"):
        site.history = [{"JobID": "5", "State": word}]
        assert slurm.snapshot(["5"]).look("5").state is JobState.UNKNOWN


def test_preempted_for_good_is_a_failure(site: Site, slurm: SlurmScheduler):
    """Not in the queue, and its newest row says PREEMPTED: it will not come back."""
    site.history = [
        {"JobID": "5", "State": "PREEMPTED", "Submit": "10"},
        {"JobID": "5", "State": "PREEMPTED", "Submit": "20"},
    ]
    seen = slurm.snapshot(["5"]).look("5")
    assert (seen.state, seen.word, seen.restarts) == (JobState.FAILED, "PREEMPTED", 1)


def test_the_queue_is_believed_before_accounting(site: Site, slurm: SlurmScheduler):
    """Preempted and waiting again: QUEUED with its restarts, whatever sacct's rows say."""
    site.queue = [{"JobID": "5", "State": "PENDING", "RestartCnt": "2", "StartTime": "2000"}]
    site.history = [{"JobID": "5", "State": "PREEMPTED"}]
    seen = slurm.snapshot(["5"]).look("5")
    assert (seen.state, seen.restarts, seen.expected_start) == (JobState.QUEUED, 2, 2000.0)


def test_tasks_that_left_the_queue_stay_part_of_their_array(site: Site, slurm: SlurmScheduler):
    """Half of a long array is over and forgotten by slurmctld: its tasks come from sacct, in the same one call."""
    site.queue = [
        {"JobID": "7", "ArrayTaskID": "4-5%1", "State": "PENDING"},
        {"JobID": "11", "ArrayJobID": "7", "ArrayTaskID": "3", "State": "RUNNING"},
    ]
    site.history = [
        {"JobID": "7_0", "JobIDRaw": "8", "State": "COMPLETED"},
        {"JobID": "7_1", "JobIDRaw": "9", "State": "FAILED", "ExitCode": "1:0"},
        {"JobID": "7_3", "JobIDRaw": "11", "State": "FAILED"},
        {"JobID": "7_[4-5%1]", "JobIDRaw": "7", "State": "PENDING"},
    ]
    seen = slurm.snapshot(["7", "7_1"]).look("7")
    assert seen.state is JobState.RUNNING
    assert {k: s.value for k, s in seen.tasks.items()} == {
        0: "SUCCEEDED", 1: "FAILED", 3: "RUNNING", 4: "QUEUED", 5: "QUEUED",
    }  # fmt: skip
    assert slurm.snapshot(["7_1"]).look("7_1").state is JobState.FAILED
    assert slurm.snapshot(["7_4"]).look("7_4").state is JobState.QUEUED


@pytest.mark.parametrize("count", [1, 100])
def test_the_number_of_commands_does_not_grow(site: Site, slurm: SlurmScheduler, count: int):
    """One squeue for any number of living jobs, one sacct more for any number of missing ones."""
    site.queue = [{"JobID": str(number)} for number in range(1, count + 1)]
    handles = [row["JobID"] for row in site.queue]
    assert len(slurm.snapshot(handles).jobs) == count and site.asked == ["squeue"]
    slurm.snapshot([*handles, *(f"{number}" for number in range(500, 500 + count))])
    assert site.asked == ["squeue", "squeue", "sacct"]


def test_handles_that_are_none_ask_nothing(site: Site, slurm: SlurmScheduler):
    """A handle of another scheduler is GONE at once, and doesn't make sacct refuse the whole question."""
    snapshot = slurm.snapshot(["local-5", "", "5;6"])
    assert snapshot.look("local-5").state is JobState.GONE and site.asked == ["squeue"]


def test_find_asks_once_for_all_and_prefers_the_living(site: Site, slurm: SlurmScheduler):
    """One command each for all names; of two jobs with the same name the living one is ours to go on with."""
    site.queue = [
        {"JobID": "5", "Name": "a", "State": "PENDING"},
        {"JobID": "6", "Name": "a", "State": "CANCELLED"},
        {"JobID": "7", "Name": "a-1", "State": "RUNNING"},
    ]
    site.history = [{"JobID": "3", "JobName": "b"}, {"JobID": "4", "JobName": "b"}]
    assert slurm.find(["a", "b", "c"]) == {"a": "5", "b": "4"}
    assert site.asked == ["squeue", "sacct"]


@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_find_does_not_guess(site: Site, slurm: SlurmScheduler, command: str):
    """While somebody is silent 'not found' would be a guess, and a second job its price."""
    site.broken[command] = Answer(1, "", "connection refused")
    with pytest.raises(SchedulerSilent):
        slurm.find(["a"])


def test_cancel_tells_silence_from_refusal(site: Site, slurm: SlurmScheduler):
    """Tried again, or told to a person."""
    site.broken["scancel"] = Answer(1, "", "scancel: error: Unable to contact slurm controller\n")
    with pytest.raises(SchedulerSilent):
        slurm.cancel("5")
    site.broken["scancel"] = Answer(1, "", "scancel: error: Kill job error on job id 5: Access/permission denied\n")
    with pytest.raises(Refused):
        slurm.cancel("5")
    site.broken["scancel"] = Answer(1, "", "scancel: error: Kill job error on job id 5: Invalid job id specified\n")
    slurm.cancel("5")


def test_a_forecast_that_is_only_not_now_is_no_refusal(site: Site, slurm: SlurmScheduler, tmp_path: Path):
    """All nodes are down: Slurm would queue the job all the same."""
    script = Script("k", tmp_path / "k.sbatch")
    site.broken["sbatch"] = Answer(1, "", "allocation failure: Requested partition configuration not available now\n")
    forecast = slurm.forecast(script)
    assert forecast.starts_at is None and forecast.note.startswith("Slurm can't say when it starts")
    site.broken["sbatch"] = Answer(1, "", "allocation failure: Unable to contact slurm controller\n")
    with pytest.raises(SchedulerSilent):
        slurm.forecast(script)


def test_what_did_not_change_is_not_read_again(site: Site, slurm: SlurmScheduler):
    """At 10,000 jobs a look costs what has changed: the same sighting for the same words, a new one for others, and
    what has left is forgotten. Tasks of an array are added up anew.
    """
    tasks = [{"JobID": str(n), "ArrayJobID": "20", "ArrayTaskID": str(n - 20)} for n in (20, 21)]
    site.queue = [{"JobID": "5"}, {"JobID": "6", "State": "PENDING"}, {"JobID": "7"}, *tasks]
    first = slurm.snapshot([]).jobs
    site.queue = [{"JobID": "5"}, {"JobID": "6"}, tasks[0], tasks[1] | {"State": "FAILED"}]
    second = slurm.snapshot([]).jobs
    assert second["5"] is first["5"] and second.keys() == {"5", "6", "20"}
    assert (first["6"].state, second["6"].state) == (JobState.QUEUED, JobState.RUNNING)
    assert first["20"].tasks[1] is JobState.RUNNING and second["20"].tasks[1] is JobState.FAILED
    assert set(slurm._kept) == {"5", "6", "20"} and len(slurm.reader._records) == 4
