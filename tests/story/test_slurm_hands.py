"""What others do to our jobs on a real Slurm: an administrator cancels or holds them, the Hub drops what they fetch."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from lab.hub.server import Hub
from lab.slurm.cluster import Cluster as Lab
from lifecycle import servers
from tests.batch.hub_lab import toy
from tests.batch.recipe_lab import PLAN
from tests.batch.slurm_town import SlurmTown, ask

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


FILL = ("--account=serving", "--qos=serving", "--nodes=3", "--gres=gpu:1", "--output=/dev/null")
"""Jobs that nobody preempts, so that a server of two nodes has to wait."""


def stays_broken(town: SlurmTown, handle: str) -> None:
    """It says who ended it, and no tick submits anything again."""
    town.ticks(lambda: town.deployment.state == "BROKEN", 60, "the end to be noticed")
    assert re.fullmatch(rf"Somebody cancelled (the download )?job {handle}\.", town.deployment.reason)
    submitted = town.kinds().count("job.submitted")
    for _ in range(3):
        town.tick()
    assert town.kinds().count("job.submitted") == submitted and town.deployment.state == "BROKEN"


def test_a_cancelled_download(slurm_cluster: Lab, tmp_path: Path) -> None:
    """scancel in the middle of the weights: a person wanted that, and a person must say otherwise."""
    with Hub(tmp_path / "hub") as hub:
        hub.throttle(100_000)
        town = SlurmTown(tmp_path, hub=hub.url, revision=hub.publish(toy(4_000_000), PLAN.model).head.sha)
        with closing(town):
            town.ticks(lambda: town.deployment.progress.get("done", 0) > 0, 40, "bytes to arrive")
            handle = town.handle(1, "cache")
            slurm_cluster.ask("scancel", handle)
            stays_broken(town, handle)


@pytest.mark.parametrize("phase", ["queued", "loading", "serving"])
def test_a_cancelled_server(slurm_cluster: Lab, tmp_path: Path, phase: str) -> None:
    """The same wherever the server is: it waits, its engine loads, or it answers."""
    with closing(SlurmTown(tmp_path, script={"load_s": 30 if phase == "loading" else 0}, nodes=2)) as town:
        if phase == "queued":
            filler = slurm_cluster.ask("sbatch", "--parsable", *FILL, "--wrap", "sleep 600").strip()
        try:
            if phase == "queued":
                town.ticks(lambda: town.deployment.progress.get("stage") == "queue", 40, "the job to wait")
            elif phase == "loading":
                town.ticks(lambda: town.read(1, "heartbeat").get("phase") == "loading", 40, "the engine to load")
            else:
                town.serve()
            handle = town.handle(1)
            slurm_cluster.ask("scancel", handle)
            stays_broken(town, handle)
            assert town.urls() == [] and [s.state for s in town.servers] == [servers.GONE]
        finally:
            if phase == "queued":
                slurm_cluster.ask("scancel", filler)


def test_a_held_server(slurm_cluster: Lab, tmp_path: Path) -> None:
    """scontrol requeuehold: off the routes at once, then it waits as long as it is held, and nothing replaces it;
    released, the same job serves again."""
    with closing(SlurmTown(tmp_path).serve()) as town:
        handle, submitted = town.handle(1), town.kinds().count("job.submitted")
        slurm_cluster.ask("scontrol", "requeuehold", handle)
        held = lambda: "held" in str(town.deployment.progress.get("reason"))  # noqa: E731
        town.ticks(held, 40, "people to be told that it is held")
        assert town.urls() == [] and town.servers[0].state == servers.QUEUED
        for _ in range(3):
            town.tick()
        assert "held" in slurm_cluster.ask("squeue", "-h", "-j", handle, "-o", "%r"), "nobody releases it but people"
        slurm_cluster.ask("scontrol", "release", handle)
        town.ticks(town.urls, 60, "the same server to answer again")
        assert ask(town.urls()[0]) == "ok" and town.handle(1) == handle and len(town.servers) == 1
        assert town.kinds().count("job.submitted") == submitted and town.servers[0].restarts == 1


def test_a_hub_that_drops_connections(slurm_cluster: Lab, tmp_path: Path) -> None:
    """Connections break in the middle, then the Hub is away; the download goes on where it was."""
    size = 3_000_000
    with Hub(tmp_path / "hub") as hub:
        sha = hub.publish(toy(size), PLAN.model).head.sha
        hub.throttle(1_500_000)
        hub.spoil(r"/resolve/.*safetensors", times=2, cut_after=500_000)
        with closing(SlurmTown(tmp_path, hub=hub.url, revision=sha)) as town:
            town.ticks(lambda: town.deployment.progress.get("done", 0) > size // 3, 60, "a third of the bytes")
            hub.stop()
            town.tick()
            assert town.deployment.state == "CACHING"
            hub.start()
            hub.throttle(0)
            town.serve(60)
            fetched = [one for one in hub.requests("safetensors") if one.method == "GET" and one.sent]
            assert any("range" in one.headers for one in fetched), "it asked for the rest only"
            assert sum(one.sent for one in fetched) < 2 * size
            assert town.kinds().count("job.submitted") == 3, "one download, one server, one exam"
