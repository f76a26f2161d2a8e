"""LocalScheduler beyond the contract: its queue, its memory, and what it survives."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from batch.scheduler import choose
from batch.scheduler.local import LocalScheduler
from batch.scheduler.local_jobs import jobs_in
from batch.scheduler.local_processes import alive, identity, marked
from batch.scheduler.sbatch_header import read_header, seconds_of
from lifecycle.errors import SubmissionRefused
from lifecycle.jobs import JobState
from lifecycle.sections.cluster import Cluster
from lifecycle.settings import Settings
from tests.batch.places import Clock, Place
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def make(tmp_path: Path, slots: int = 2) -> Place:
    clock = Clock()
    cluster = Cluster(kind="local", local_slots=slots)
    return Place(LocalScheduler(cluster, tmp_path / "scheduler", clock, kill_wait_s=2), tmp_path, clock=clock)


@pytest.fixture
def place(tmp_path: Path):
    place = make(tmp_path)
    yield place
    place.end_all()


def test_first_come_first_served(place: Place):
    """A large job is not overtaken by small ones that would fit, else it would wait for ever."""
    first = place.submit("sleep 60", nodes="1")
    place.wait(first, JobState.RUNNING)
    large = place.submit("sleep 60", nodes="2")
    small = place.submit("sleep 60", nodes="1")
    snapshot = place.scheduler.snapshot([])
    assert snapshot.look(large).state is snapshot.look(small).state is JobState.QUEUED
    assert snapshot.look(large).reason == "Resources"
    place.scheduler.cancel(first)
    place.wait(large, JobState.RUNNING)
    assert place.look(small).state is JobState.QUEUED


def test_light_jobs_do_not_wait_for_gpus(place: Place):
    """A server that fills all nodes must not keep its own Gauntlet from running."""
    server = place.submit("sleep 60", nodes="2", gres="gpu:1")
    place.wait(server, JobState.RUNNING)
    assert place.look(server).gpus == 2
    place.wait(place.submit("true"), JobState.SUCCEEDED)


def test_the_throttle_of_an_array_is_kept(place: Place):
    """--array=...%1: never two at once."""
    body = "mkdir busy || touch overlap\nsleep 0.2\nrmdir busy"
    handle = place.submit(body, array="0-2%1", chdir=str(place.folder))
    place.wait(handle, JobState.SUCCEEDED)
    assert not (place.folder / "overlap").exists()


def test_more_nodes_than_there_are_is_refused(place: Place):
    """It would wait for ever."""
    with pytest.raises(SubmissionRefused, match="only 2"):
        place.submit("true", nodes="3")


def test_several_nodes_are_emulated(place: Place):
    """The node list has a name for each node, and the scripts can tell that they aren't on a cluster."""
    handle = place.submit("echo $SLURM_JOB_NODELIST $SLURM_JOB_NUM_NODES $DAYZERO_LOCAL", key="nodes", nodes="2")
    place.wait(handle, JobState.SUCCEEDED)
    assert (place.folder / "nodes.log").read_text() == "localhost,localhost 2 1\n"


def test_stdout_and_stderr_can_be_parted(place: Place):
    """--error names another file; patterns are filled in."""
    where = {"output": str(place.folder / "%x-%j.out"), "error": str(place.folder / "%x-%3j.err")}
    handle = place.submit("echo out; echo err >&2", key="parted", **where)
    place.wait(handle, JobState.SUCCEEDED)
    assert (place.folder / f"parted-{handle}.out").read_text() == "out\n"
    assert (place.folder / f"parted-{int(handle):03}.err").read_text() == "err\n"


def test_a_script_that_can_not_start_says_why(place: Place):
    """Its folder doesn't exist: the job fails, and the reason is kept."""
    handle = place.submit("true", chdir=str(place.folder / "nowhere"), output="/dev/null")
    assert place.wait(handle, JobState.FAILED).exit_code == "1:0"
    (job,) = jobs_in(place.folder / "scheduler")
    assert "nowhere" in job.tasks[0].read("ended")["note"]


def test_what_a_script_leaves_behind_is_killed(place: Place):
    """As on a cluster, the end of the script is the end of all that it started, in other sessions too."""
    handle = place.submit("setsid sleep 61 >/dev/null 2>&1 &\necho $! > pid\nsleep 0.3", chdir=str(place.folder))
    place.wait(handle, JobState.SUCCEEDED)
    (job,) = jobs_in(place.folder / "scheduler")
    assert marked(f"DAYZERO_LOCAL_TASK={job.tasks[0].folder}") == []


def test_a_killed_supervisor_is_a_node_failure(place: Place):
    """kill -9 of the supervisor (or a reboot): FAILED with NODE_FAIL, its processes end, its slots are free."""
    handle = place.submit("sleep 62", nodes="2")
    place.wait(handle, JobState.RUNNING)
    (job,) = jobs_in(place.folder / "scheduler")
    mark = f"DAYZERO_LOCAL_TASK={job.tasks[0].folder}"
    until(lambda: marked(mark), 10, "the script's processes")
    os.kill(job.tasks[0].read("started")["pid"], signal.SIGKILL)
    assert place.wait(handle, JobState.FAILED).word == "NODE_FAIL"
    until(lambda: not marked(mark), 10, "its processes to be gone")
    place.wait(place.submit("true", nodes="2"), JobState.SUCCEEDED)


def test_a_reused_pid_is_not_mistaken():
    """A pid counts only with its start time and this boot."""
    me = identity(os.getpid())
    assert alive(me)
    assert not alive(me | {"ticks": me["ticks"] + 1}) and not alive(me | {"boot": "another"})


SERVICE = """
import os, signal, sys, time
from pathlib import Path
from batch.scheduler import local, local_jobs, local_processes
from batch.scheduler.local import LocalScheduler
from lifecycle.ports import Script
from lifecycle.sections.cluster import Cluster

folder, at = Path(sys.argv[1]), int(sys.argv[2])
seen = 0

def trace(frame, event, argument):
    global seen
    name = frame.f_code.co_filename
    if "/batch/scheduler/" not in name and "/submitit/" not in name and not name.endswith("runfolder.py"):
        return None
    if event == "line":
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

scheduler = LocalScheduler(Cluster(kind="local", local_slots=2), folder / "scheduler", time.time, kill_wait_s=2)
sys.settrace(trace)
scheduler.submit(Script("once", folder / "once.sbatch"))
sys.settrace(None)
print(seen)
"""


def serve(place: Place, kill_at_line: int) -> subprocess.CompletedProcess:
    """A service in a process of its own that submits `once` and is killed before its n-th line (0: never)."""
    argv = [sys.executable, "-c", textwrap.dedent(SERVICE), str(place.folder), str(kill_at_line)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)


def forget_launches(place: Place) -> None:
    """As if every launch were long ago."""
    for job in jobs_in(place.folder / "scheduler"):
        path = job.tasks[0].folder / "launched.json"
        if path.exists():
            path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 1.0}))


def test_jobs_outlive_the_service(place: Place):
    """A service that ends leaves its jobs running; the next one sees them run and end, with the exit code."""
    place.script("sleep 1; exit 4", key="once")
    done = serve(place, 0)
    assert done.returncode == 0, done.stderr
    handle = place.scheduler.find(["once"])["once"]
    place.submitted.append(handle)
    place.wait(handle, JobState.RUNNING)
    assert place.wait(handle, JobState.FAILED).exit_code == "4:0"


def test_killed_at_any_line_a_submission_happens_once_or_not_at_all(tmp_path: Path):
    """kill -9 at lines all over `submit`: afterwards either nothing is found and a new submission is right, or the
    job is found, and runs exactly once."""
    place = make(tmp_path / "whole")
    place.folder.mkdir(exist_ok=True)
    place = Place(place.scheduler, tmp_path / "whole", clock=place.clock)
    place.script("true", key="once")
    lines = int(serve(place, 0).stdout)
    assert lines > 100
    found = []
    for at in sorted({1 + round((lines - 1) * k / 11) for k in range(12)}):
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        place = make(folder)
        place.script("echo ran >> ran", key="once", chdir=str(folder))
        assert serve(place, at).returncode == -signal.SIGKILL
        handle = place.scheduler.find(["once"]).get("once")
        found.append(handle is not None)
        if handle is None:
            assert place.scheduler.snapshot([]).jobs == {}
            handle = place.scheduler.submit(place.script("echo ran >> ran", key="once", chdir=str(folder)))
        place.submitted.append(handle)
        forget_launches(place)
        place.wait(handle, JobState.SUCCEEDED)
        assert (folder / "ran").read_text() == "ran\n"
    assert True in found and False in found and found == sorted(found)


def test_a_supervisor_that_never_came_is_replaced(place: Place):
    """Killed between 'I start it' and starting it: after a while it is started again, and claimed only once."""
    blocker = place.submit("sleep 60", nodes="2")
    place.wait(blocker, JobState.RUNNING)
    handle = place.submit("echo ran >> ran", chdir=str(place.folder))
    job = list(jobs_in(place.folder / "scheduler"))[-1]
    job.tasks[0].mark("launched")
    place.scheduler.cancel(blocker)
    place.wait(blocker, JobState.CANCELLED)
    assert place.look(handle).state is JobState.QUEUED
    forget_launches(place)
    place.wait(handle, JobState.SUCCEEDED)
    assert (place.folder / "ran").read_text() == "ran\n"


def test_two_supervisors_run_a_task_once(place: Place):
    """A second supervisor for the same task finds it claimed and goes away."""
    handle = place.submit("echo ran >> ran\nsleep 1", chdir=str(place.folder))
    place.wait(handle, JobState.RUNNING)
    (job,) = jobs_in(place.folder / "scheduler")
    supervisor = ROOT / "batch/scheduler/local_supervisor.py"
    subprocess.run([sys.executable, str(supervisor), str(job.folder), str(job.tasks[0].folder)], check=True, timeout=30)
    place.wait(handle, JobState.SUCCEEDED)
    assert (place.folder / "ran").read_text() == "ran\n"


def test_a_half_written_job_is_no_job(place: Place):
    """What a killed submission left aside is ignored, and its place is used again."""
    (place.folder / "scheduler/jobs/.new-1/tasks/only").mkdir(parents=True)
    assert place.scheduler.snapshot([]).jobs == {}
    assert place.submit("true") == "1"
    place.wait("1", JobState.SUCCEEDED)


def test_a_folder_that_can_not_be_read_is_silence(tmp_path: Path):
    """Not GONE."""
    (tmp_path / "scheduler").write_text("a file where the folder should be")
    scheduler = LocalScheduler(Cluster(kind="local"), tmp_path / "scheduler", Clock())
    snapshot = scheduler.snapshot(["1"])
    assert not snapshot.ok and snapshot.silence and snapshot.look("1").state is JobState.UNKNOWN


def test_headers_are_read_as_sbatch_reads_them():
    """Long and short options, with and without =, several on a line; comments; nothing after the first command."""
    header = read_header(
        textwrap.dedent(
            """\
            #!/bin/bash
            # a comment
            #SBATCH --job-name=one -N 2
            #SBATCH -J two
            #SBATCH --time 1-12 --requeue --exclusive
            #SBATCH --gpus-per-node=h100:8  # why so many
            ##SBATCH --nodes=9

            #SBATCH --array=0-6:3%2
            true
            #SBATCH --nodes=7
            """
        ),
        "file.sbatch",
    )
    assert (header.name, header.nodes, header.gpus, header.time_s) == ("two", 2, 8, 36 * 3600)
    assert (header.tasks, header.at_once) == ((0, 3, 6), 2)
    assert read_header("#!/bin/sh\n", "file.sbatch").name == "file.sbatch"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-0", 86400), ("1-2:3:4", 93784), ("UNLIMITED", None)],
)
def test_time_limits(text: str, seconds: float | None):
    """Each spelling of --time."""
    assert seconds_of(text) == seconds


def test_a_script_without_an_interpreter_is_refused():
    """As sbatch does."""
    with pytest.raises(SubmissionRefused, match="first line"):
        read_header("true\n", "x")


def test_the_settings_choose():
    """kind = 'local' or 'slurm'; neither needs Slurm to be installed."""
    for kind in ("local", "slurm"):
        settings = Settings(cluster=Cluster(kind=kind))
        assert choose(settings).name == kind
