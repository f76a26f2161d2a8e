"""What every Scheduler must do: the same suite over a real Slurm and over child processes."""

import os
from pathlib import Path

import pytest

from batch.scheduler import commands
from batch.scheduler.local import LocalScheduler
from batch.scheduler.slurm import SlurmScheduler
from lifecycle.errors import SubmissionRefused
from lifecycle.jobs import JobState
from lifecycle.sections.cluster import Cluster
from tests.batch.places import Clock, Place
from tests.waiting import until

QUEUED, RUNNING, SUCCEEDED = JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED
FAILED, CANCELLED, GONE, UNKNOWN = JobState.FAILED, JobState.CANCELLED, JobState.GONE, JobState.UNKNOWN

SERVING = {"account": "serving", "qos": "serving", "partition": "serving"}


OTHER = os.environ.get("DAYZERO_OTHER_SLURM", "")
"""--account of a Slurm that somebody else started, whose commands are on the PATH: make test-slurm-latest."""


SLURMS = ("slurm", "slurm-json", "slurm-pyslurm")


@pytest.fixture(params=["local", *(pytest.param(kind, marks=pytest.mark.slurm) for kind in SLURMS)])
def place(request: pytest.FixtureRequest, tmp_path: Path):
    clock, folder = Clock(), tmp_path / "scheduler"
    if request.param != "local":
        if not OTHER:
            if request.param == "slurm-json":
                pytest.skip("the JSON reader needs Slurm 24.11 or later: make test-slurm-latest")
            request.getfixturevalue("slurm_cluster")
        header = {**SERVING, "account": OTHER, "mem": "1G"} if OTHER else SERVING
        python = os.environ.get("DAYZERO_OTHER_PYTHON", "")
        cluster = Cluster(reader=request.param.partition("-")[2] or "text", pyslurm_python=python)
        scheduler = SlurmScheduler(cluster, folder, clock)
        if request.param == "slurm-pyslurm" and not (name := scheduler.reader.name).startswith("pyslurm"):
            pytest.skip(name)
        place = Place(scheduler, tmp_path, header, clock)
    else:
        cluster = Cluster(kind="local", local_slots=2)
        place = Place(LocalScheduler(cluster, folder, clock, kill_wait_s=2), tmp_path, clock=clock)
    yield place
    place.end_all()


def test_a_script_runs_to_its_end(place: Place):
    """A submitted script runs as it is, with the id it was given, and its success is seen after it left the queue."""
    handle = place.submit("echo job $SLURM_JOB_ID of $SLURM_JOB_NUM_NODES named $SLURM_JOB_NAME", key="plain-1")
    seen = place.wait(handle, SUCCEEDED)
    assert (seen.handle, seen.name, seen.exit_code) == (handle, "plain-1", "0:0")
    assert seen.submitted_at <= seen.started_at
    assert (place.folder / "plain-1.log").read_text() == f"job {handle} of 1 named plain-1\n"


def test_the_first_run_has_no_restart_count(place: Place):
    """SLURM_RESTART_COUNT is unset on a first run: the launcher tells its endpoint file from an old one by it."""
    handle = place.submit("echo ${SLURM_RESTART_COUNT:-unset}", key="first")
    assert place.wait(handle, SUCCEEDED).restarts == 0
    assert (place.folder / "first.log").read_text() == "unset\n"


def test_a_running_job_is_seen_running(place: Place):
    """While the script runs the sighting says so, with nodes and start time."""
    handle = place.submit("sleep 60")
    seen = place.wait(handle, RUNNING)
    assert seen.nodes and seen.node_count == 1 and seen.started_at and not seen.state.ended


def test_a_failed_script_fails_with_its_exit_code(place: Place):
    """The exit code of the script reaches us."""
    seen = place.wait(place.submit("exit 3"), FAILED)
    assert (seen.exit_code, seen.word) == ("3:0", "FAILED")


def test_a_job_is_found_by_its_name_while_it_lives_and_after(place: Place):
    """A service that was killed between submission and writing down the handle finds the job again; never another."""
    handle = place.submit("sleep 60", key="crash.safe-1")
    assert place.scheduler.find(["crash.safe-1", "crash.safe-10", "crash"]) == {"crash.safe-1": handle}
    place.scheduler.cancel(handle)
    place.wait(handle, CANCELLED)
    assert place.scheduler.find(["crash.safe-1"]) == {"crash.safe-1": handle}
    assert place.scheduler.find([]) == {}


def test_cancel_gives_the_script_time_to_drain(place: Place):
    """SIGTERM comes first, and what the script does on it is done."""
    handle = place.submit("trap 'echo drained; exit 0' TERM\necho ready\nwhile :; do sleep 0.1; done", key="drains")
    log = place.folder / "drains.log"
    until(lambda: log.exists() and "ready" in log.read_text(), 30, "the script to run")
    place.scheduler.cancel(handle)
    assert place.wait(handle, CANCELLED).state is CANCELLED
    assert "drained" in log.read_text()


def test_a_job_that_ignores_sigterm_ends_all_the_same(place: Place):
    """After the grace time comes SIGKILL, without anybody asking again."""
    handle = place.submit("trap '' TERM\necho ready\nwhile :; do sleep 0.1; done", key="stubborn")
    log = place.folder / "stubborn.log"
    until(lambda: log.exists() and "ready" in log.read_text(), 30, "the script to run")
    place.scheduler.cancel(handle)
    place.wait(handle, CANCELLED)


def test_cancel_is_idempotent_and_forgiving(place: Place):
    """Twice, after the end, and for a job that never was: no error, and nothing changes."""
    handle = place.submit("sleep 60")
    place.scheduler.cancel(handle)
    place.scheduler.cancel(handle)
    place.wait(handle, CANCELLED)
    place.scheduler.cancel(handle)
    place.scheduler.cancel("987654")
    done = place.submit("true")
    place.wait(done, SUCCEEDED)
    place.scheduler.cancel(done)
    assert place.look(done).state is SUCCEEDED


def test_a_waiting_job_can_be_cancelled(place: Place):
    """A job that never ran ends as cancelled."""
    nodes = {"nodes": "2"} if place.scheduler.name == "local" else {"nodes": "4", "exclusive": ""}
    first = place.submit("sleep 60", **nodes)
    place.wait(first, RUNNING)
    second = place.submit("touch ran", **nodes, chdir=str(place.folder))
    seen = place.wait(second, QUEUED)
    assert seen.reason and seen.started_at is None and seen.nodes == ()
    place.scheduler.cancel(second)
    place.wait(second, CANCELLED)
    place.scheduler.cancel(first)
    place.wait(first, CANCELLED)
    assert not (place.folder / "ran").exists()


def test_an_array_shows_its_tasks_and_their_sum(place: Place):
    """One handle; tasks by index; the sum fails when one task failed, and a task can be looked at by itself."""
    body = "echo $SLURM_ARRAY_JOB_ID\n[ $SLURM_ARRAY_TASK_ID != 4 ]"
    handle = place.submit(body, key="shards", array="0-4:2,5%2", output=str(place.folder / "shard-%a.log"))
    seen = place.wait(handle, FAILED)
    assert dict(seen.tasks) == {0: SUCCEEDED, 2: SUCCEEDED, 4: FAILED, 5: SUCCEEDED}
    assert seen.exit_code == "1:0" and seen.name == "shards"
    assert {(place.folder / f"shard-{k}.log").read_text() for k in (0, 2, 4, 5)} == {f"{handle}\n"}
    snapshot = place.scheduler.snapshot([f"{handle}_4", f"{handle}_5"])
    assert snapshot.look(f"{handle}_4").state is FAILED
    assert snapshot.look(f"{handle}_5").state is SUCCEEDED
    assert place.scheduler.find(["shards"]) == {"shards": handle}


def test_an_array_is_cancelled_as_a_whole(place: Place):
    """Running and waiting tasks end together."""
    handle = place.submit("sleep 60", array="0-3%1")
    seen = place.wait(handle, RUNNING)
    assert sorted(seen.tasks) == [0, 1, 2, 3]
    place.scheduler.cancel(handle)
    assert set(place.wait(handle, CANCELLED).tasks.values()) == {CANCELLED}


def test_an_unknown_handle_is_gone_but_not_hastily(place: Place):
    """The scheduler answered and knows no such job: GONE, at the latest after a grace time, if it was asked."""
    handle = place.submit("sleep 60")
    place.scheduler.snapshot(["987654"])
    place.clock.ahead_s = 3600
    snapshot = place.scheduler.snapshot([handle, "987654"])
    assert snapshot.ok and snapshot.look("987654").state is GONE
    assert snapshot.look("987655").state is UNKNOWN
    assert snapshot.look(handle).state in (QUEUED, RUNNING)


def test_a_bad_script_is_refused_with_a_next_step(place: Place):
    """What can't be submitted is a permanent error in plain words, and leaves no job behind."""
    script = place.script("true", nodes="0")
    with pytest.raises(SubmissionRefused) as refused:
        place.scheduler.submit(script)
    assert "Node count specification invalid" in str(refused.value) and refused.value.next_step
    assert place.scheduler.find([script.key]) == {}


def test_a_forecast_without_victims(place: Place):
    """On an idle place a job would start at once, and nobody is evicted; nothing is submitted by asking."""
    script = place.script("true")
    forecast = place.scheduler.forecast(script)
    assert forecast.victims == () and abs(forecast.starts_at - place.clock()) < 30
    assert place.scheduler.find([script.key]) == {}


def test_a_forecast_of_a_bad_script_is_a_note(place: Place):
    """A refusal in a forecast doesn't raise: it is told beside the plan."""
    forecast = place.scheduler.forecast(place.script("true", time="soon"))
    assert forecast.starts_at is None and "time" in forecast.note.lower()


def test_the_services_secrets_stay_behind(place: Place, monkeypatch: pytest.MonkeyPatch):
    """A job doesn't get the service's tokens, except the Hub's, which it downloads with."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("HF_TOKEN", "hf_needed")
    monkeypatch.setenv("DAYZERO_TEST_GREETING", "hello")
    place.wait(place.submit("echo [$SLACK_BOT_TOKEN] $HF_TOKEN $DAYZERO_TEST_GREETING", key="env"), SUCCEEDED)
    assert (place.folder / "env.log").read_text() == "[] hf_needed hello\n"


def test_the_environment_can_be_closed(place: Place, monkeypatch: pytest.MonkeyPatch):
    """--export=NONE keeps the service's environment out of the job and still gives Slurm's variables."""
    monkeypatch.setenv("DAYZERO_TEST_GREETING", "hello")
    handle = place.submit("echo [$DAYZERO_TEST_GREETING] $SLURM_JOB_ID ${PATH:+path}", key="closed", export="NONE")
    place.wait(handle, SUCCEEDED)
    assert (place.folder / "closed.log").read_text() == f"[] {handle} path\n"


def test_a_job_outlives_its_time_limit_not(place: Place):
    """A script that runs into its time limit is a failure with the word TIMEOUT."""
    if place.scheduler.name == "slurm":
        pytest.skip("Slurm's shortest limit is a minute, and it is Slurm's own business")
    assert place.wait(place.submit("sleep 60", time="0:1"), FAILED).word == "TIMEOUT"


def test_the_snapshot_leaves_out_what_ended_and_was_not_asked_for(place: Place):
    """The queue of everybody, and of the ended only those asked for."""
    ended, living = place.submit("true"), place.submit("sleep 60")
    place.wait(ended, SUCCEEDED)
    snapshot = place.scheduler.snapshot([])
    assert ended not in snapshot.jobs and living in snapshot.jobs
    assert os.environ.get("SLURM_TIME_FORMAT") is None


def test_telling_never_hurts(place: Place):
    """A notice is best effort: for a job that is there, and for one that isn't."""
    handle = place.submit("sleep 60")
    place.scheduler.tell(handle, "Paused for a day: 'quotes' \"too\" = $HOME; `ls`\nsecond line")
    place.scheduler.tell("987654", "nobody")


def test_a_held_job_waits_until_it_is_released(place: Place):
    """Held by a person it is QUEUED, with Slurm's word for it, however often it is looked at; released it runs."""
    if place.scheduler.name == "local":
        pytest.skip("nobody can hold a child process")
    handle = place.submit("true", hold="")
    seen = place.wait(handle, QUEUED)
    assert seen.reason.startswith("JobHeld") and seen.started_at is None and seen.nodes == ()
    commands.run(["scontrol", "release", handle], 20)
    place.wait(handle, SUCCEEDED)


def test_a_requeued_job_keeps_its_handle(place: Place):
    """It waits again under the same number with one restart more, never seen as ended; asked to hurry it runs again."""
    if place.scheduler.name == "local":
        pytest.skip("nothing is requeued here")
    handle = place.submit("sleep 60", requeue="")
    place.wait(handle, RUNNING)
    if not place.scheduler.reader.act("requeue", handle):
        assert commands.run(["scontrol", "requeue", handle], 20).code == 0
    seen = place.wait(handle, QUEUED, SUCCEEDED, FAILED, CANCELLED, GONE)
    assert seen.state is QUEUED and seen.restarts == 1 and seen.handle == handle
    place.scheduler.hurry(handle)
    assert place.wait(handle, RUNNING).restarts == 1
