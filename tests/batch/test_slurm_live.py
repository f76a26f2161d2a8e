"""What only a real Slurm shows: preemption, forecasts, a dead controller, a dead node, strange names, a full queue."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from submitit.core.core import PicklingExecutor

from batch.scheduler.slurm import SlurmScheduler
from lab.slurm.cluster import Cluster as Lab
from lifecycle.errors import SchedulerSilent, SubmissionRefused
from lifecycle.jobs import JobState
from lifecycle.sections.cluster import Cluster
from tests.batch.places import Clock, CountingRun, Place
from tests.waiting import until

pytestmark = pytest.mark.slurm

SERVING = {"account": "serving", "qos": "serving", "partition": "serving", "gres": "gpu:1"}
RESEARCH = {"account": "research", "qos": "research", "partition": "research", "requeue": ""}


@pytest.fixture
def place(slurm_cluster: Lab, tmp_path: Path) -> Iterator[Place]:
    clock, run = Clock(), CountingRun()
    scheduler = SlurmScheduler(Cluster(command_timeout_s=20), tmp_path / "scheduler", clock, run)
    place = Place(scheduler, tmp_path, SERVING, clock)
    place.run = run
    yield place
    place.end_all()


def test_a_forecast_names_exactly_the_victims(place: Place):
    """sbatch --test-only says whom it would evict; they, and nobody else, are then evicted and wait again."""
    one = place.submit("sleep 300", key="train-a", **RESEARCH, nodes="2")
    array = place.submit("sleep 300", key="sweep", **RESEARCH, array="7-8")
    for handle in (one, array):
        place.wait(handle, JobState.RUNNING)
    until(lambda: set(place.look(array).tasks.values()) == {JobState.RUNNING}, 30, "both tasks to run")
    script = place.script("sleep 300", nodes="4")
    forecast = place.scheduler.forecast(script)
    assert {v.handle for v in forecast.victims} == {one, f"{array}_7", f"{array}_8"}
    about = {v.handle: v for v in forecast.victims}
    victim = about[one]
    assert (victim.name, victim.user, victim.node_count, victim.gpus, victim.restarts) == ("train-a", "root", 2, 2, 0)
    assert 0 < victim.ran_s < 120 and about[f"{array}_8"].gpus == 1
    assert abs(forecast.starts_at - place.clock()) < 60

    server = place.scheduler.submit(script)
    place.submitted.append(server)
    assert place.wait(server, JobState.RUNNING).node_count == 4
    snapshot = place.scheduler.snapshot([one, array, f"{array}_7"])
    for handle in (one, array, f"{array}_7"):
        seen = place.wait(handle, JobState.QUEUED)
        assert seen.restarts == (2 if handle == array else 1), seen
    assert snapshot.ok
    assert place.wait(server, JobState.RUNNING).restarts == 0


def test_a_job_that_asks_for_less_evicts_less(place: Place):
    """Two free nodes are enough: no victims."""
    place.wait(place.submit("sleep 300", **RESEARCH, nodes="2"), JobState.RUNNING)
    assert place.scheduler.forecast(place.script("true", nodes="2")).victims == ()


def test_preempted_for_good(place: Place):
    """A victim that may not be requeued ends; it is FAILED with the word PREEMPTED, not cancelled by a person."""
    header = {k: v for k, v in RESEARCH.items() if k != "requeue"} | {"no_requeue": "", "nodes": "4"}
    victim = place.submit("sleep 300", **header)
    place.wait(victim, JobState.RUNNING)
    place.wait(place.submit("sleep 300", nodes="4"), JobState.RUNNING)
    assert place.wait(victim, JobState.FAILED).word == "PREEMPTED"


def test_a_stopped_controller_makes_nothing_gone(place: Place, slurm_cluster: Lab):
    """No answer is no answer: not ok, UNKNOWN, one sentence; submissions are to be tried again; all is well after."""
    running = place.submit("sleep 300")
    place.wait(running, JobState.RUNNING)
    impatient = SlurmScheduler(Cluster(command_timeout_s=2), place.folder / "own", place.clock)
    slurm_cluster.stop_controller()
    try:
        snapshot = impatient.snapshot([running, "987654"])
        assert not snapshot.ok and snapshot.silence.startswith("squeue")
        assert snapshot.look(running).state is snapshot.look("987654").state is JobState.UNKNOWN
        script = place.script("true")
        with pytest.raises(SchedulerSilent):
            impatient.submit(script)
        with pytest.raises(SchedulerSilent):
            impatient.find([script.key])
        with pytest.raises(SchedulerSilent):
            impatient.forecast(script)
        with pytest.raises(SchedulerSilent):
            impatient.cancel(running)
        impatient.tell(running, "nobody hears this")
    finally:
        slurm_cluster.start_controller()
    assert place.wait(running, JobState.RUNNING).handle == running


def test_a_hanging_controller_is_silence_in_time(place: Place, slurm_cluster: Lab):
    """SIGSTOP: the command is cut off at the time limit instead of holding the tick."""
    scheduler = SlurmScheduler(Cluster(command_timeout_s=1), place.folder / "own", place.clock)
    slurm_cluster.pause_controller()
    try:
        snapshot = scheduler.snapshot(["1"])
        assert snapshot.silence == "squeue gave no answer within 1 s." and not snapshot.ok
        with pytest.raises(SchedulerSilent, match="no answer within 1 s"):
            scheduler.submit(place.script("true", key="in-the-dark"))
    finally:
        slurm_cluster.resume_controller()
    until(lambda: place.scheduler.snapshot([]).ok, 30, "the controller to answer")
    place.submitted += place.scheduler.find(["in-the-dark"]).values()


def test_a_dead_node_requeues_or_fails(place: Place, slurm_cluster: Lab):
    """Their nodes lose power: a job that may be requeued waits or runs again with a restart, another one fails."""
    again = place.submit("sleep 300", requeue="")
    never = place.submit("sleep 300", no_requeue="")
    lost = {handle: place.wait(handle, JobState.RUNNING).nodes[0] for handle in (again, never)}
    for node in set(lost.values()):
        slurm_cluster.kill_node(node)
    try:
        assert place.wait(never, JobState.FAILED).word == "NODE_FAIL"
        until(lambda: place.look(again).restarts == 1, 60, "the other to be requeued", every=0.2)
        assert place.look(again).state in (JobState.QUEUED, JobState.RUNNING)
    finally:
        for node in set(lost.values()):
            slurm_cluster.restart_node(node)

        def ready() -> bool:
            states = slurm_cluster.ask("sinfo", "-h", "-N", "-p", "serving", "-o", "%T").split()
            return not any("down" in state or "*" in state for state in states)

        until(ready, 60, "the nodes to be back", every=0.5)


def test_the_number_of_commands_is_the_same_for_one_and_for_a_hundred_jobs(place: Place):
    """One squeue per snapshot however many jobs live; one sacct more however many are missing."""
    counts = []
    for size in (1, 100):
        while len(place.submitted) < size:
            place.submit("true", hold="", gres="none")
        place.run.asked.clear()
        snapshot = place.scheduler.snapshot(place.submitted)
        assert {snapshot.look(handle).state for handle in place.submitted} == {JobState.QUEUED}
        living = [argv[0] for argv in place.run.asked]
        place.scheduler.snapshot([*place.submitted, *(str(900_000 + n) for n in range(size))])
        counts.append((living, [argv[0] for argv in place.run.asked[len(living) :]]))
    assert counts == [(["squeue"], ["squeue", "sacct"])] * 2
    subprocess.run(["scancel", *place.submitted], check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["a|b", "two\nlines", "sep\x1farated \x1e too", "ünï ✓", "'\"$(touch x)`", "%j [0-9]"])
def test_names_with_odd_characters(place: Place, name: str):
    """Other people's names break nothing: every job is seen, with state, and ours beside it."""
    script = place.script("true", hold="")
    odd = subprocess.run(
        ["sbatch", "--parsable", f"--job-name={name}", str(script.path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    place.submitted.append(odd)
    ours = place.submit("true", hold="")
    snapshot = place.scheduler.snapshot([])
    assert (snapshot.look(odd).state, snapshot.look(odd).name) == (JobState.QUEUED, name)
    assert snapshot.look(ours).state is JobState.QUEUED


def test_every_process_of_a_job_hears_the_cancel(place: Place):
    """The batch script and its steps get SIGTERM; both have time to end in order."""
    step = "trap 'echo step heard; exit 0' TERM; echo step ready; while :; do sleep 0.1; done"
    body = f"trap 'echo batch heard' TERM\nsrun bash -c \"{step}\" &\nwait; wait"
    handle = place.submit(body, key="both")
    log = place.folder / "both.log"
    until(lambda: log.exists() and "step ready" in log.read_text(), 30, "the step to run")
    place.scheduler.cancel(handle)
    place.wait(handle, JobState.CANCELLED)
    assert "batch heard" in log.read_text() and "step heard" in log.read_text()


def test_a_notice_arrives(place: Place, slurm_cluster: Lab):
    """The owner sees it with scontrol show job, on one line."""
    handle = place.submit("sleep 300", **RESEARCH)
    place.scheduler.tell(handle, "A model needs these nodes\nuntil tomorrow = 'noon'")
    shown = slurm_cluster.ask("scontrol", "show", "job", handle)
    assert "AdminComment=A model needs these nodes until tomorrow = 'noon'" in shown


@pytest.mark.parametrize(
    ("option", "words", "step"),
    [
        ({"account": "nobody"}, "Invalid account", "cluster.account"),
        ({"qos": "nobody"}, "Invalid qos", "cluster.qos"),
        ({"partition": "nobody"}, "partition", "cluster.partition"),
        ({"gres": "nothing:1"}, "gres", "gres"),
        ({"array": "0-99999999"}, "array", "shards"),
    ],
)
def test_refusals_carry_slurms_sentence(place: Place, option: dict, words: str, step: str):
    """What is wrong, in Slurm's words, and where to mend it."""
    with pytest.raises(SubmissionRefused, match=words) as refused:
        place.submit("true", **option)
    assert step in refused.value.next_step


def test_an_impossible_size_is_told_by_the_forecast(place: Place):
    """sbatch would take it and let it wait for ever; the forecast says that it can't be."""
    forecast = place.scheduler.forecast(place.script("true", nodes="99"))
    assert forecast.starts_at is None and "fewer nodes" in forecast.note


def test_submissions_are_not_throttled(place: Place, monkeypatch: pytest.MonkeyPatch):
    """Submissions don't pay the 0.2 s that submitit sleeps between two of them."""
    slept: list = []
    monkeypatch.setattr(PicklingExecutor, "_throttle", slept.append)
    for _ in range(3):
        place.submit("true", hold="")
    assert slept == []
