"""Researchers whose jobs make room, on a real Slurm with a long grace: by the shipped template, and by submitit."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.slack.chat import Chat
from lab.campus.campus import ROOT
from lab.slack.person import words
from lab.slack.server import Workspace
from lab.slurm import research
from lab.slurm.cluster import Cluster
from lab.smtp.server import Sink
from lifecycle import queries, victims
from tests.bot.office import PATIENT, SECRETS
from tests.story.slurm_site import SlurmSite, grace_of
from tests.story.swap_site import site_in
from tests.waiting import until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

GRACE_S = 120
STEPS = 400  # of half a second: none ends by itself meanwhile


class Channels(SlurmSite):
    """A site that tells people after each tick, as the bot does."""

    secrets = SECRETS

    def __init__(self, folder: Path):
        with contextlib.ExitStack() as stack:
            self.slack = stack.enter_context(Workspace(folder / "slack", seed=PATIENT))
            mail = stack.enter_context(Sink(folder / "mail"))
            self.others = {"slack_api": self.slack.api_url, "mail_port": mail.port}
            super().__init__(folder)
            self.chat = Chat(self.parts)
            self._stack = stack.pop_all()

    def tick(self) -> None:
        super().tick()
        self.chat.tell()

    def down(self) -> None:
        self.chat.close()
        super().down()
        self._stack.close()

    def told_bob(self) -> str:
        return "\n".join(words(message) for message in self.slack.person("bob").dms())

    def told_research(self) -> str:
        return "\n".join(words(message) for message in self.slack.person("bob").messages("#research"))


@pytest.fixture(scope="module")
def site(slurm_cluster: Cluster) -> Iterator[Channels]:
    with grace_of(slurm_cluster, GRACE_S), site_in(Path(tempfile.mkdtemp(prefix="dz-")), Channels) as site:
        yield site


@pytest.fixture
def jobs(slurm_cluster: Cluster) -> Iterator[list[str]]:
    """What a test submits for others; cancelled at its end."""
    made: list[str] = []
    yield made

    def gone() -> bool:
        slurm_cluster.ask("scancel", *made)  # once more: a submitit job answers the first SIGTERM with a requeue
        return not waiting(slurm_cluster, made)

    until(gone, 60, "an empty queue", every=1)


def waiting(cluster: Cluster, jobs: list[str], states: str = "PD,R,CG") -> list[str]:
    """Those of the jobs that are in one of these states."""
    return cluster.ask("squeue", "-h", "-t", states, "-j", ",".join(jobs), "-o", "%i").split()


def block(cluster: Cluster, nodes: int) -> str:
    """A job that nobody preempts, on so many nodes."""
    options = ("--parsable", "--account=serving", "--qos=serving", f"--nodes={nodes}", "--gres=gpu:1")
    return cluster.ask("sbatch", *options, "--output=/dev/null", "--wrap", "sleep 600").strip()


def by_submitit(folder: Path) -> str:
    """A job as submitit's users submit it; its id."""
    environment = {**os.environ, "SUBMITIT_PREEMPT_SIGNAL": "TERM"}
    argv = [sys.executable, "-m", "tests.story.submitit_training", str(folder), str(STEPS)]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def lives(cluster: Cluster, job: str) -> list[str]:
    """The states in which the job's runs ended, the first one first."""
    return cluster.ask("sacct", "-n", "-D", "-X", "-P", "-j", job, "-o", "State").split()


def test_nothing_is_lost(site: Channels, slurm_cluster: Cluster, jobs: list[str], tmp_path: Path) -> None:
    """Both jobs save, give their nodes back long before the grace is over, wait, and resume where they were; their
    owners hear it before, when, and after, with the GPU-hours taken."""
    jobs.append(block(slurm_cluster, 2))
    by_template = research.submit(slurm_cluster, seconds=STEPS / 2, name="recipe")
    by_library = by_submitit(tmp_path)
    jobs += [str(by_template), by_library]

    def logs() -> list[str]:
        noted = tmp_path / "training.log"
        return [research.log(slurm_cluster, by_template), noted.read_text() if noted.exists() else ""]

    until(lambda: all("started" in log for log in logs()), 30, "both to train")
    name = site.deploy("acme/wanted", "a" * 40, nodes=2, tensor_parallel=2)
    site.tick_until(lambda: "server.running" in site.kinds(name), 60, "the server to get their nodes")
    server, db = site.servers(name)[0], site.parts.ledger.connection
    job = queries.job(db, f"dz-{name}-serve-1")
    assert server.started_at - job.submitted_at < GRACE_S / 4, "they did not use up their grace"
    site.tick_until(lambda: site.kinds(name).count("victim.requeued") == 2, 30, "both to be seen in the queue")
    assert {v.handle for v in queries.victims_of(db, name)} == set(jobs[1:])
    assert all("saved step" in log for log in logs())
    kinds = site.kinds(name)
    assert kinds.index("victim.expected") < kinds.index("server.submitted") < kinds.index("victim.requeued")
    assert f"your job {by_template} (recipe) is likely to be preempted by acme/wanted" in site.told_bob()
    assert f"Your job {by_template} (recipe) was preempted by acme/wanted. Slurm starts it again" in site.told_bob()
    assert re.search(rf"root: .*job {by_library} .*likely to be preempted", site.told_research())

    site.retire(name)
    back = rf"The nodes are back: acme/wanted has ended after .* GPU-hours. Your job {by_template} "
    assert re.search(back, site.told_bob())

    def runs_again() -> bool:
        for job in waiting(slurm_cluster, jobs[1:], "PD"):
            research.hurry(slurm_cluster, int(job))
        return {v.state for v in queries.victims_of(db, name)} == {victims.RESUMED}

    site.tick_until(runs_again, 90, "both to run again")
    assert f"Your job {by_template} (recipe) runs again" in site.told_bob()
    until(lambda: all("resumed at step" in log for log in logs()), 60, "both to read what they saved")
    for log in logs():
        saved, resumed = (re.findall(rf"{word} step (\d+)", log) for word in ("saved", "resumed at"))
        assert saved == resumed and log.count("started") == 1
    ended = lambda: [lives(slurm_cluster, job)[0] for job in jobs[1:]]  # noqa: E731
    until(lambda: set(ended()) <= {"REQUEUED", "PREEMPTED"}, 30, "accounting to say so")
