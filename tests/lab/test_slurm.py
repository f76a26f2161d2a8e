"""A real Slurm in a folder: it comes up, preempts, breaks as asked, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.slurm import daemons, faults, processes, research
from lab.slurm.__main__ import main
from lab.slurm.cluster import Cluster
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import LONGEST_FOLDER, Layout
from lab.slurm.probe import available
from lab.slurm.temporary import temporary_cluster
from tests.waiting import until

needs_slurm = [pytest.mark.slurm, pytest.mark.skipif(available() is not None, reason=str(available()))]
SERVING = ("--account=serving", "--qos=serving", "--nodes=2", "--gres=gpu:toy:1", "--time=5")


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """One cluster for the tests that leave it as they found it."""
    with temporary_cluster(slurmd_timeout_s=6) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """The shared cluster, with an empty queue before and after."""
    yield shared
    for user in ("root", *shared.shape.researchers):
        shared.ask("scancel", "--user", user)
    until(lambda: not shared.ask("squeue", "-h"), 30, "an empty queue")


def state(cluster: Cluster, job: int) -> str:
    """The job's state in the queue; empty when it is not there."""
    return cluster.ask("squeue", "-h", "-j", str(job), "-o", "%T").strip()


def serve(cluster: Cluster, script: str = "sleep 600", *options: str) -> int:
    """Submit a two-node serving job as the service's user."""
    log = f"--output={cluster.folder}/logs/serving-%j.log"
    return int(cluster.ask("sbatch", "--parsable", *SERVING, *options, log, "--wrap", script))


def fill(cluster: Cluster) -> list[int]:
    """Research jobs on every node, all of them training."""
    jobs = [research.submit(cluster, name=f"run-{node}") for node in cluster.node_names]
    until(lambda: all("started" in research.log(cluster, job) for job in jobs), 30, "training on every node")
    return jobs


def alive(folder: Path) -> list[processes.Process]:
    """What still runs of the cluster in that folder."""
    return faults.job_processes(Layout.of(folder))


def sockets(folder: Path) -> list[Path]:
    """The unix sockets left in the folder."""
    return [path for path in folder.rglob("*") if path.is_socket()]


class TestWithoutSlurm:
    """What holds on any machine."""

    def test_a_long_folder_is_refused_in_words(self, tmp_path: Path) -> None:
        """A path too long for a unix socket is told before anything starts, not by a daemon's odd death."""
        with pytest.raises(SlurmLabError, match=f"at most {LONGEST_FOLDER} characters"):
            Cluster(tmp_path / ("x" * LONGEST_FOLDER))

    def test_down_and_status_where_nothing_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`down` of nothing is fine; `status` of nothing says how to make a cluster, in one line."""
        assert main(["down", "--dir", "/nonexistent/slurm"]) == 0
        assert main(["status", "--dir", "/nonexistent/slurm"]) == 1
        complaint = capsys.readouterr().err
        assert "python -m lab.slurm up --dir" in complaint and complaint.count("\n") == 1

    def test_a_reused_pid_is_not_ours(self) -> None:
        """A pid with another start time counts as dead and gets no signal."""
        me = processes.look(os.getpid())
        assert me is not None and me.alive
        stranger = processes.Process(me.pid, me.started - 1)
        assert not stranger.alive
        stranger.send(signal.SIGKILL)  # if it were sent, this test would not return


class TestLifeOfACluster:
    """Up, down, and what is left."""

    pytestmark = needs_slurm

    def test_nothing_is_left_after_down(self) -> None:
        """`down` ends every process and socket, jobs too; the next `up` has them requeued and in accounting."""
        with temporary_cluster(nodes=2) as cluster:
            job = research.submit(cluster)
            until(lambda: "started" in research.log(cluster, job), 30, "training")
            assert len(alive(cluster.folder)) > 6 and sockets(cluster.folder)
            cluster.down()
            assert alive(cluster.folder) == [] and sockets(cluster.folder) == []
            assert not cluster.running
            cluster.up()
            assert state(cluster, job) in ("COMPLETING", "PENDING")
            rows = ("sacct", "-a", "-X", "-n", "-o", "JobID")
            until(lambda: str(job) in cluster.ask(*rows), 30, "the job in accounting")

    def test_down_after_an_up_that_was_killed(self) -> None:
        """`kill -9` of an `up` half-way leaves daemons; `down` finds them, even one without its pid file."""
        with temporary_cluster(nodes=1) as cluster:
            cluster.down()
            argv = [sys.executable, "-m", "lab.slurm", "up", "--dir", str(cluster.folder)]
            with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as starting:
                until(lambda: daemons.find(cluster.layout, "mariadbd"), 20, "MariaDB")
                starting.kill()
            daemons.pid_file(cluster.layout, "munged").unlink()
            assert alive(cluster.folder) and not cluster.running
            cluster.down()
            assert alive(cluster.folder) == [] and sockets(cluster.folder) == []

    def test_two_clusters_side_by_side(self, cluster: Cluster) -> None:
        """Two clusters share no port and no job; taking one down leaves the other as it was."""
        with temporary_cluster(nodes=1, gpu_type="other", name="second") as second:
            job = research.submit(second, name="elsewhere")
            until(lambda: state(second, job) == "RUNNING", 30, "the second cluster's job")
            assert "elsewhere" not in cluster.ask("squeue", "-h", "-o", "%j")
        assert cluster.running
        assert "UP" in cluster.ask("scontrol", "ping")

    def test_up_twice_returns_at_once_with_the_running_shape(self, cluster: Cluster) -> None:
        """An `up` of a running cluster starts nothing, and knows the shape that runs rather than the one asked for."""
        before = daemons.find(cluster.layout, "slurmctld")
        again = Cluster(cluster.folder, nodes=9)
        again.up()
        assert daemons.find(cluster.layout, "slurmctld") == before
        assert again.node_names == cluster.node_names


class TestJobs:
    """What jobs meet on it."""

    pytestmark = needs_slurm

    def test_the_named_victims_are_preempted_and_resume(self, cluster: Cluster) -> None:
        """--test-only names the two victims; they are requeued with a checkpoint, accounted PREEMPTED, and resume."""
        jobs = fill(cluster)
        asked = subprocess.run(
            ["sbatch", "--test-only", *SERVING, "--wrap", "true"],
            env=os.environ | cluster.env(),
            capture_output=True,
            text=True,
            check=True,
        )
        named = asked.stderr.rpartition("Preempts: ")[2].strip().split(",")
        serving = serve(cluster)
        until(lambda: state(cluster, serving) == "RUNNING", 30, "the serving job")
        victims = [job for job in jobs if state(cluster, job) == "PENDING"]
        assert sorted(map(int, named)) == victims and len(victims) == 2
        for job in victims:
            until(lambda job=job: "saved step" in research.log(cluster, job), 20, "the checkpoint")

        def accounted() -> bool:
            rows = cluster.ask("sacct", "-a", "-D", "-X", "-n", "-P", "-j", str(victims[0]), "-o", "State")
            return "PREEMPTED" in rows.split()

        until(accounted, 30, "PREEMPTED in accounting")
        cluster.ask("scancel", str(serving))
        until(lambda: state(cluster, serving) == "", 30, "the serving job's end")

        def started_again() -> bool:
            if state(cluster, victims[0]) == "PENDING":
                research.hurry(cluster, victims[0])
            return state(cluster, victims[0]) == "RUNNING"

        try:
            until(started_again, 180, "the victim's second run", every=1)  # 120 s are Slurm's own
        except AssertionError as late:
            raise AssertionError(f"{late}; {cluster.ask('scontrol', 'show', 'job', str(victims[0]))}") from None
        until(lambda: "resumed at step" in research.log(cluster, victims[0]), 60, "its checkpoint to be read")

    def test_steps_run_on_both_nodes_and_fall_together(self, cluster: Cluster) -> None:
        """srun reaches both nodes, each task knows its node and its GPU; one task's failure ends the other's."""
        script = (
            "srun -n2 --ntasks-per-node=1 printenv SLURMD_NODENAME CUDA_VISIBLE_DEVICES;"
            " srun -n2 --ntasks-per-node=1 --kill-on-bad-exit=1"
            " sh -c 'test $SLURM_PROCID = 1 && sleep 300; exit 3'; echo ended"
        )
        job = serve(cluster, script)
        log = cluster.folder / "logs" / f"serving-{job}.log"
        until(lambda: log.exists() and "ended" in log.read_text(), 60, "the end of the steps")
        words = log.read_text().split()
        nodes = [word for word in words if word in cluster.node_names]
        assert len(set(nodes)) == 2 and words.count("0") == 2

    def test_an_array_runs(self, cluster: Cluster) -> None:
        """A job array's tasks all run, each with its own number."""
        out = cluster.folder / "logs" / "array-%a.log"
        options = ("--array=1-3", "--account=serving", "--qos=serving", f"--output={out}")
        cluster.ask("sbatch", *options, "--wrap", "echo task $SLURM_ARRAY_TASK_ID")
        paths = [Path(str(out).replace("%a", str(task))) for task in (1, 2, 3)]
        until(lambda: all(path.exists() and path.read_text() for path in paths), 60, "three tasks' output")
        assert [path.read_text().split() for path in paths] == [["task", str(task)] for task in (1, 2, 3)]

    def test_research_belongs_to_somebody_else(self, cluster: Cluster) -> None:
        """A researcher's job has its own user, who may not use the serving QOS."""
        job = research.submit(cluster, user="news")
        assert cluster.ask("squeue", "-h", "-j", str(job), "-o", "%u %q").split() == ["news", "research"]
        allowed = cluster.ask("sacctmgr", "-n", "-P", "show", "assoc", "user=news", "format=qos")
        assert "serving" not in allowed

    def test_a_folder_that_a_researcher_cannot_enter(self, cluster: Cluster) -> None:
        """A closed folder is told at submission: Slurm would let the job die without a word."""
        cluster.folder.chmod(0o700)
        try:
            with pytest.raises(SlurmLabError, match="can't enter"):
                research.submit(cluster)
        finally:
            cluster.folder.chmod(0o755)


class TestFaults:
    """What can be broken on purpose."""

    pytestmark = needs_slurm

    def test_a_killed_node_goes_down_and_comes_back(self, cluster: Cluster) -> None:
        """A node whose power was cut is down and its job requeued; the node restarts and is ready again."""
        job = research.submit(cluster)
        until(lambda: "started" in research.log(cluster, job), 30, "training")
        node = cluster.ask("squeue", "-h", "-j", str(job), "-o", "%N").strip()

        def node_state() -> str:
            # of all nodes: asked for one node alone, slurmctld 22.05 answers `mixed` for ever after
            nodes = cluster.ask("sinfo", "-h", "-N", "-p", "serving", "-o", "%N %T").splitlines()
            return dict(line.split() for line in nodes)[node]

        cluster.kill_node(node)
        assert faults.node_processes(cluster.layout, node) == []
        until(lambda: node_state().startswith("down"), 90, f"{node} down")
        assert state(cluster, job) == "PENDING"
        cluster.restart_node(node)
        until(lambda: node_state() == "idle", 30, f"{node} idle")

    def test_a_paused_controller_answers_again(self, cluster: Cluster) -> None:
        """A hanging slurmctld lets clients wait in vain; after SIGCONT it answers."""
        cluster.pause_controller()
        try:
            with pytest.raises(SlurmLabError, match="did not answer within 1 s"):
                cluster.ask("squeue", timeout_s=1)
        finally:
            cluster.resume_controller()
        cluster.ask("squeue", timeout_s=30)

    def test_jobs_outlive_the_controller(self, cluster: Cluster) -> None:
        """While slurmctld is away clients are refused and the job trains on; it is known again afterwards."""
        job = research.submit(cluster)
        until(lambda: "started" in research.log(cluster, job), 30, "training")
        cluster.stop_controller()
        try:
            with pytest.raises(SlurmLabError, match="squeue"):
                cluster.ask("squeue", timeout_s=2)
        finally:
            cluster.start_controller()
        assert state(cluster, job) == "RUNNING"
        with pytest.raises(SlurmLabError, match="there is no node toy-99"):
            cluster.kill_node("toy-99")
