"""The second look through all that the bot does for it: port, recipes, scheduler, array tasks; no server needed."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from batch.recipes import Recipes
from batch.scheduler.local import LocalScheduler
from batch.scheduler.slurm import SlurmScheduler
from bot.exams import GauntletExams
from bot.stories import line
from lifecycle import actions, deploying, deployments, queries
from lifecycle.ledger import Ledger
from lifecycle.ports import Scheduler
from lifecycle.runfolder import RunFolder
from lifecycle.sections.cluster import Cluster
from lifecycle.sections.gateway import Gateway
from lifecycle.sections.gauntlet import Gauntlet
from lifecycle.sections.site import Site
from lifecycle.settings import Settings
from lifecycle.world import World
from tests.batch.recipe_lab import PLAN
from tests.gauntlet.backend import Backend
from tests.gauntlet.test_second_look import FIRST, HALF_THEN_ALL, RESERVE, write_suite
from tests.waiting import until


class Examined:
    """One deployment that is being tested; `look` takes its step of a tick, and no other."""

    def __init__(self, folder: Path, backend: Backend, scheduler: Scheduler, cluster: Cluster):
        self.backend = backend
        settings = Settings(
            site=Site(shared=folder / "shared", state=folder / "state"), cluster=cluster,
            gateway=Gateway(public_url=backend.url), gauntlet=Gauntlet(suites=write_suite(folder / "suites"), shards=2),
        )  # fmt: skip
        self.ledger = Ledger(folder / "state" / "ledger.db", time.time)
        recipes = Recipes(settings)
        exams = GauntletExams(settings, recipes, time.time, list)
        self.world = World(ledger=self.ledger, scheduler=scheduler, recipes=recipes, exams=exams, registry=None,
                           clock=time.time, shared=settings.site.shared)  # fmt: skip
        plan = replace(PLAN, account=cluster.account)
        self.ledger.found("model", plan.model, plan.revision)
        release = queries.release_of(self.ledger.connection, "model", plan.model, plan.revision)
        self.ledger.learn(release, None, plan)
        self.name, _ = actions.approve(self.ledger, release.id, plan.digest, by="alice")
        for event, more in (("cached", {}), ("healthy", {}), ("listed", {"exam": 1})):
            self.ledger.move_deployment(self.deployment, event, **more)
        self.folder = RunFolder(settings.site.shared, self.name).gauntlet(1)

    @property
    def deployment(self):
        return queries.deployment(self.ledger.connection, self.name)

    @property
    def jobs(self):
        return [job for job in queries.jobs_of(self.ledger.connection, self.name) if job.purpose == "exam"]

    def look(self) -> str:
        snapshot = self.world.scheduler.snapshot([job.handle for job in self.jobs if job.handle])
        if self.deployment.state == deployments.TESTING:
            deploying.STEPS[deployments.TESTING](self.world, self.deployment, [], snapshot)
        return self.deployment.state

    def close(self) -> None:
        handles = [job.handle for job in self.jobs if job.handle]
        for handle in handles:
            self.world.scheduler.cancel(handle)
        seen = lambda: all(self.world.scheduler.snapshot(handles).look(h).state.ended for h in handles)  # noqa: E731
        until(seen, 60, "the end of its jobs", every=0.2)
        self.ledger.close()


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def examined(request: pytest.FixtureRequest, tmp_path: Path):
    """A model that is right about half of what is asked first, and about all of the reserve."""
    if request.param == "slurm":
        request.getfixturevalue("slurm_cluster")
        cluster = Cluster(account="serving")
        scheduler = SlurmScheduler(cluster, tmp_path / "scheduler", time.time)
    else:
        cluster = Cluster(kind="local", local_slots=4)
        scheduler = LocalScheduler(cluster, tmp_path / "scheduler", time.time, kill_wait_s=2)
    with Backend(override=HALF_THEN_ALL) as backend:
        town = Examined(tmp_path, backend, scheduler, cluster)
        yield town
        town.close()


def test_the_bot_asks_more_and_then_decides(examined: Examined) -> None:
    """Two arrays: the first asks what is asked of everybody, the second the reserve alone; it passes, and says why."""
    until(lambda: examined.look() != deployments.TESTING, 90, "a verdict", every=0.2)
    assert examined.deployment.state == deployments.PREVIEW, examined.deployment.verdict
    assert [job.key for job in examined.jobs] == [f"dz-{examined.name}-exam-1-{n}" for n in (1, 2)]
    scripts = [(examined.folder.parents[1] / f"{job.key}.sbatch").read_text() for job in examined.jobs]
    assert ["--array=0-1" in scripts[0], "--array=2\n" in scripts[1]] == [True, True]
    assert len(examined.backend.asked) == FIRST + RESERVE
    said = "Sums: asked 12 more, because 6 of the first 12 samples passed"
    told = [line(event, examined.deployment) for event in queries.history(examined.ledger.connection, examined.name)]
    assert any(said in (sentence or "") for sentence in told), told
    assert said in " ".join(examined.deployment.verdict["reasons"])


def test_a_cancelled_second_look_stays_open(examined: Examined) -> None:
    """Nobody asks a third time; what the cancelled array did not ask is open, and a person decides."""
    examined.backend.hold = lambda: len(examined.backend.asked) > FIRST
    until(lambda: examined.look() and len(examined.jobs) == 2 and examined.jobs[1].handle, 60, "a second array")
    until(lambda: len(examined.backend.asked) > FIRST, 60, "its first question", every=0.2)
    examined.world.scheduler.cancel(examined.jobs[1].handle)
    until(lambda: examined.look() != deployments.TESTING, 60, "a verdict", every=0.2)
    assert examined.deployment.state == deployments.HELD and len(examined.jobs) == 2
    assert "open" in examined.deployment.verdict["reasons"][0]
