"""What breaks on a real Slurm while a model is served, and that nothing is lost by it. The engine is a script."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.hub.server import Hub
from lab.slurm.cluster import Cluster as Lab
from lifecycle import actions, queries, servers, victims
from tests.batch.hub_lab import toy
from tests.batch.recipe_lab import PLAN
from tests.batch.slurm_town import SlurmTown, ask
from tests.waiting import until

pytestmark = pytest.mark.slurm

Made = Callable[..., SlurmTown]


@pytest.fixture
def made(slurm_cluster: Lab, tmp_path: Path) -> Iterator[Made]:
    towns: list[SlurmTown] = []

    def make(**shape: object) -> SlurmTown:
        towns.append(SlurmTown(tmp_path, **shape))
        return towns[-1]

    yield make
    for town in towns:
        town.close()


def loading(town: SlurmTown, n: int = 1) -> None:
    """Tick until the engine of server `n` loads."""
    town.ticks(lambda: town.read(n, "heartbeat").get("phase") == "loading", 40, "the engine to load")


def test_the_controller_stops_while_a_model_loads(made: Made, slurm_cluster: Lab) -> None:
    """No tick moves anything meanwhile; the engine goes on loading; then the same job is taken up, and only it."""
    town = made(script={"load_s": 3}, patience_s=3)
    loading(town)
    before = len(town.kinds())
    slurm_cluster.stop_controller()
    try:
        assert not town.tick().scheduler_ok
        until(lambda: town.read(1, "endpoint"), 30, "the engine to answer without a controller")
        assert not town.tick().scheduler_ok
        assert len(town.kinds()) == before and town.servers[0].state == servers.LOADING
    finally:
        slurm_cluster.start_controller()
    town.serve()
    assert [s.n for s in town.servers] == [1] and town.servers[0].restarts == 0
    assert town.kinds().count("job.submitted") == 2, "one server, one exam"


def test_a_node_dies_while_a_model_loads(made: Made, slurm_cluster: Lab) -> None:
    """Slurm requeues the job; the same server loads again on other nodes, and the deployment never breaks."""
    town = made(script={"load_s": 4}, nodes=2)
    loading(town)
    lost = town.servers[0].nodes.split(",")[1]
    slurm_cluster.kill_node(lost)
    try:
        slurm_cluster.ask("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=power")  # as a watchdog does
        town.ticks(lambda: "server.requeued" in town.kinds(), 60, "Slurm to notice")
        pending = lambda: "PENDING" in slurm_cluster.ask("squeue", "-h", "-j", town.handle(1), "-o", "%T")  # noqa: E731
        until(pending, 30, "the job to wait again")  # for two minutes, would Slurm have its way
        slurm_cluster.ask("scontrol", "update", f"JobId={town.handle(1)}", "StartTime=now")
        town.serve(60)
    finally:
        slurm_cluster.restart_node(lost)
    moves = [kind for kind in town.kinds() if kind.startswith(("server.", "deployment.broke"))]
    assert moves == ["server." + word for word in ("wanted", "submitted", "running", "requeued", "running", "ready")]
    assert lost not in town.servers[0].nodes.split(",")
    assert ask(town.urls()[0]) == "ok"
    states = lambda: slurm_cluster.ask("sinfo", "-h", "-N", "-p", "serving", "-o", "%T")  # noqa: E731
    until(lambda: "down" not in states() and "*" not in states(), 60, "the node to be back", every=0.5)


def test_a_rank_dies_and_the_end_is_gentle(made: Made) -> None:
    """A rank on the other node dies: the same job restarts its engine in place. Retired, it first finishes answers."""
    town = made(script={"rank": 1, "die": "die"}, nodes=2).serve()
    (town.engine / "die").touch()
    town.ticks(lambda: "server.sick" in town.kinds(), 30, "the server to leave the routes")
    town.ticks(lambda: "server.recovered" in town.kinds(), 40, "the engine to be back")
    assert (town.engine / "starts-1").read_text() == "2" and town.servers[0].restarts == 0
    assert [s.n for s in town.servers] == [1], "no second job was needed"

    said: list[str] = []
    url = town.urls()[0]
    asking = threading.Thread(target=lambda: said.append(ask(url, "slow 3")), daemon=True)
    asking.start()
    until(lambda: town.read(1, "heartbeat").get("running"), 20, "the request to run")
    actions.retire(town.ledger, town.name, by="alice")
    town.ticks(lambda: town.read(1, "heartbeat").get("phase") == "draining", 20, "the launcher to drain")
    assert town.urls() == [] and not said, "off the routes while the answer is still being made"
    town.ticks(lambda: town.deployment.state == "RETIRED", 40, "the end")
    asking.join(5)
    assert said == ["ok"]


def test_a_full_disk_is_a_sentence_and_a_retry(made: Made, tmp_path: Path) -> None:
    """The file system of the weights has no room: BROKEN says how much is lacking; with room, retry goes on."""
    models = tmp_path / "shared" / "models"
    models.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(models)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with Hub(tmp_path / "hub") as hub:
            sha = hub.publish(toy(4_000_000), PLAN.model).head.sha
            town = made(hub=hub.url, revision=sha)
            town.ticks(lambda: town.deployment.state == "BROKEN", 60, "the download to be refused")
            assert "needs 4,0" in town.deployment.reason and "must stay free" in town.deployment.reason
            assert town.deployment.next_step.startswith("Make room for")
            assert town.kinds().count("job.submitted") == 1, "a full disk is not tried again by itself"
            subprocess.run(["mount", "-o", "remount,size=2g", str(models)], check=True)
            actions.retry(town.ledger, town.name, by="alice")
            town.serve(60)
            town.close()
    finally:
        subprocess.run(["umount", "--lazy", str(models)], check=True)


def test_a_job_that_lost_its_nodes_unforeseen(made: Made, slurm_cluster: Lab, tmp_path: Path) -> None:
    """Requeued while a server took its nodes, and no forecast had named it: it gets a row, as Slurm shows it."""
    script = tmp_path / "train.sbatch"
    script.write_text("#!/bin/bash\nsleep 300\n")
    options = ["--parsable", "--account=research", "--qos=research", "--partition=research", "--gres=gpu:1"]
    job = slurm_cluster.ask("sbatch", *options, "--output=/dev/null", "--requeue", str(script)).strip()
    try:
        until(lambda: "RUNNING" in slurm_cluster.ask("squeue", "-h", "-j", job, "-o", "%T"), 30, "the job to run")
        town = made(script={"load_s": 2})
        loading(town)
        town.tick()
        assert queries.victims_of(town.ledger.connection, town.name) == []
        slurm_cluster.ask("scontrol", "requeue", job)
        town.ticks(lambda: queries.victims_of(town.ledger.connection, town.name), 30, "the victim to be written down")
        (row,) = queries.victims_of(town.ledger.connection, town.name)
        assert (row.handle, row.state, row.gpus) == (job, victims.REQUEUED, 1)
    finally:
        slurm_cluster.ask("scancel", job)
