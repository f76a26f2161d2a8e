"""Requests on a real Slurm: a swap, a rollover, more servers and none at all, and every caller gets an answer."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.slurm.cluster import Cluster
from lifecycle import servers, wishes
from lifecycle.deployments import PREVIEW
from lifecycle.scaling import Pace
from lifecycle.wishes import Scale
from lifecycle.world import Limits
from tests.story.slurm_site import SlurmSite, our_jobs
from tests.story.swap_site import Load, site_in
from tests.story.test_swap import swap_under_load
from tests.waiting import until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

SWIFT = Pace(concurrency=2, busy_s=0.5, calm_s=1.0)


@pytest.fixture(scope="module")
def site(slurm_cluster: Cluster) -> Iterator[SlurmSite]:
    with site_in(Path(tempfile.mkdtemp(prefix="dz-")), SlurmSite) as site:
        yield site


@pytest.fixture(autouse=True)
def leaves_nothing(site: SlurmSite) -> Iterator[None]:
    """However a story ends, the next one finds free nodes and the usual numbers."""
    world = site.parts.world
    yield
    site.set(pace=world.pace, limits=world.limits)
    site.retire(*(one.id for one in site.deployments()))


def lost(load: Load) -> list[tuple[int, str]]:
    return [answer for answer in load.answers if answer != (200, "")]


def test_a_swap_under_load(site: SlurmSite, slurm_cluster: Cluster) -> None:
    """Canary, takeover, rollback and a second swap, each server a Slurm job: no request lost, no node kept."""
    swap_under_load(site)
    assert len(our_jobs(slurm_cluster)) == 1, "the elder's and the rejected successor's nodes are free"


def test_a_rollover_under_load(site: SlurmSite) -> None:
    """The time limit comes near: the successor is UP and routed to before the elder drains; callers notice nothing."""
    name = site.serve("acme/rolls")
    seen: list[int] = []

    def relieved() -> bool:
        seen.append(site.states(name).count(servers.UP))
        return site.states(name) == [servers.GONE, servers.UP]

    with Load(site, "acme/rolls", prompt="slow 0.3") as load:
        until(lambda: load.answers, 30, "a first answer")
        usual = site.parts.world.limits
        site.set(limits=Limits(rollover_s=7199, rollover_share=0.9999))
        site.tick_until(lambda: len(site.servers(name)) == 2, 20, "a successor to be wanted")
        site.set(limits=usual)
        site.tick_until(relieved, 60, "the elder to be gone")
        alone = len(load.answers)
        site.tick_until(lambda: len(load.answers) > alone + 5, 20, "answers of the successor")
    assert lost(load) == [] and min(seen) >= 1
    moves = [kind for kind in site.kinds(name) if kind.startswith("server.")]
    ready = [n for n, kind in enumerate(moves) if kind == "server.ready"]
    assert ready[1] < moves.index("server.drain") < moves.index("server.gone") and "server.lost" not in moves


def test_more_servers_none_and_one_again(site: SlurmSite, slurm_cluster: Cluster) -> None:
    """Load adds a server, calm takes it away, nobody asking gives every node back, and a request brings one again."""
    name = site.serve("acme/breathes")
    ledger = site.parts.ledger
    site.set(pace=SWIFT)
    wishes.scale(ledger, name, Scale(replicas=(1, 2)), max_nodes=2, by="alice")
    with Load(site, "acme/breathes", callers=4, prompt="slow 0.5") as load:
        site.tick_until(lambda: site.states(name).count(servers.UP) == 2, 60, "a second server under load")
        assert len(our_jobs(slurm_cluster)) == 2
    with Load(site, "acme/breathes", callers=1) as calm:
        site.tick_until(lambda: site.states(name) == [servers.GONE, servers.UP], 60, "the first to go when it is calm")
    assert lost(load) == lost(calm) == []

    wishes.scale(ledger, name, Scale(idle_s=1), max_nodes=2, by="alice")
    site.tick_until(lambda: not our_jobs(slurm_cluster), 60, "every node to be given back")
    assert site.state(name) == PREVIEW and "note.asleep" in site.kinds(name)
    with Load(site, "acme/breathes", callers=1) as sleepers:
        site.tick_until(lambda: (200, "") in sleepers.answers, 60, "an answer after waking")
    assert {status for status, _ in lost(sleepers)} <= {503}, "until it is awake callers are told so"
    assert site.kinds(name).count("note.woken") == 1
