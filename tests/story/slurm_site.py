"""The site of the stories on a real Slurm: our jobs are real, the gateway is, and the engine is the scripted one.

It answers in milliseconds, so that the stories are about Slurm and about requests, not about loading.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lab.campus import config
from lab.slurm.cluster import Cluster
from lifecycle import actions, deployments, queries, servers
from lifecycle.records import Deployment, Server
from lifecycle.scaling import Pace
from lifecycle.world import Limits
from tests.batch.hub_lab import CONFIG, noise
from tests.batch.launching import ENGINE
from tests.batch.slurm_town import Quick
from tests.story.conftest import ENGINE as NO_ENGINE
from tests.story.swap_site import SWAP, Site, addresses
from tests.waiting import until

SCRIPTED = f"""\
[runtimes.vllm]
engine = "vllm"
command = {json.dumps([sys.executable, str(ENGINE), "serve"])}
environment = {{ SCRIPT = '{{"folder": "engine"}}' }}
"""


class SlurmSite(Site):
    """As Site; SLURM_CONF must be in the environment. `set` changes its numbers on the way."""

    others: Mapping[str, object] = MappingProxyType({})
    swap = SWAP.replace("0.05", "0.02")

    def __init__(self, folder: Path):
        self.folder = folder
        self.prepare()
        super().__init__(folder)
        self.parts = replace(self.parts, world=replace(self.parts.world, recipes=Quick(self.settings, {})))

    def prepare(self) -> None:
        """Weights that nobody loads."""
        self.weights = self.folder / "weights"
        self.weights.mkdir(parents=True)
        (self.weights / "config.json").write_text(json.dumps(CONFIG))
        (self.weights / "model.safetensors").write_bytes(noise(100_000))

    def configuration(self, port: int) -> str:
        text = config.settings(self.folder, addresses(port, **self.others), slurm=True, engine=NO_ENGINE,
                               research_user="games", gpu_memory=8_000_000, ladder=["vllm"])  # fmt: skip
        scripted = SCRIPTED.replace('"engine"}', f'"{self.folder / "engine"}"}}')
        return text.replace(config.runtimes(NO_ENGINE), scripted)

    def set(self, *, pace: Pace | None = None, limits: Limits | None = None) -> None:
        """Other numbers from the next tick on."""
        world = self.parts.world
        changed = replace(world, pace=pace or world.pace, limits=limits or world.limits)
        self.parts = replace(self.parts, world=changed)

    def deployments(self) -> list[Deployment]:
        return queries.deployments(self.parts.ledger.connection)

    def servers(self, name: str) -> list[Server]:
        return queries.servers_of(self.parts.ledger.connection, name)

    def states(self, name: str) -> list[str]:
        return [server.state for server in self.servers(name)]

    def kinds(self, name: str) -> list[str]:
        return [event.kind for event in queries.history(self.parts.ledger.connection, name)]

    def serve(self, repo: str, revision: str = "a" * 40, seconds: float = 90) -> str:
        """Deploy, and wait until everybody may call it and every gateway worker knows."""
        name = self.deploy(repo, revision)
        self.tick_until(lambda: self.state(name) == deployments.PREVIEW, seconds, f"{repo} in preview")
        until(self.taken_over, 30, "the gateway to take it over")
        return name

    def retire(self, *names: str, seconds: float = 60) -> None:
        """Its servers drain; the nodes are free afterwards."""
        for name in names:
            if self.state(name) not in (deployments.DRAINING, deployments.RETIRED):
                actions.retire(self.parts.ledger, name, by="alice")
        over = lambda: all(self.state(name) == deployments.RETIRED for name in names)  # noqa: E731
        self.tick_until(over, seconds, f"the end of {names}")
        gone = lambda: all(state == servers.GONE for name in names for state in self.states(name))  # noqa: E731
        assert gone(), [self.states(name) for name in names]


def our_jobs(cluster: Cluster) -> list[str]:
    """The names of our jobs that Slurm has in its queue."""
    return [name for name in cluster.ask("squeue", "-h", "-q", "serving", "-o", "%j").split() if name[:3] == "dz-"]


@contextlib.contextmanager
def grace_of(cluster: Cluster, seconds: int) -> Iterator[None]:
    """Jobs of the QOS research have so long between the first signal and their end."""

    def give(grace_s: int) -> None:
        cluster.ask("sacctmgr", "-i", "modify", "qos", "research", "set", f"GraceTime={grace_s}")

    give(seconds)
    try:
        yield
    finally:
        give(cluster.shape.grace_time_s)
