"""A requeued server does not sit out Slurm's two minutes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.scheduler.slurm import SlurmScheduler
from lab.slurm.cluster import Cluster as Lab
from lifecycle.jobs import JobState
from lifecycle.sections.cluster import Cluster
from tests.batch.places import Clock, CountingRun, Place
from tests.batch.test_slurm_live import SERVING
from tests.waiting import until

pytestmark = pytest.mark.slurm


@pytest.fixture
def place(slurm_cluster: Lab, tmp_path: Path) -> Iterator[Place]:
    run = CountingRun()
    place = Place(
        SlurmScheduler(Cluster(command_timeout_s=20), tmp_path / "s", Clock(), run), tmp_path, SERVING, Clock()
    )
    place.run = run
    yield place
    place.end_all()


def test_a_requeued_job_starts_at_once(place: Place) -> None:
    """After a requeue it waits for its begin time, two minutes ahead; asked to hurry it runs again long before."""
    handle = place.submit("sleep 300", key="hurried", requeue="")
    place.wait(handle, JobState.RUNNING)
    place.run(["scontrol", "requeue", handle], 20)
    until(lambda: place.look(handle).reason == "BeginTime", 60, "the pause after a requeue")
    begins = place.look(handle).expected_start
    place.scheduler.hurry(handle)
    again = place.wait(handle, JobState.RUNNING)
    assert again.restarts == 1 and again.started_at < begins
