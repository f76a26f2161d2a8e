"""The swap under load once more, on a real Slurm with real vLLM: three engines load beside each other.

Minutes of two cores, so it runs only when asked for: DAYZERO_SLOW=1.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.campus import config
from lab.slurm.cluster import Cluster
from tests.story.conftest import ENGINE, SHELF
from tests.story.slurm_site import SlurmSite
from tests.story.swap_site import Site, addresses, site_in
from tests.story.test_swap import swap_under_load

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.engine,
    pytest.mark.timeout(900),
    pytest.mark.skipif("DAYZERO_SLOW" not in os.environ, reason="some minutes: DAYZERO_SLOW=1"),
]


class RealEngines(SlurmSite):
    """The tiny model that was trained, served by vLLM."""

    swap = Site.swap

    def prepare(self) -> None:
        self.weights = SHELF / "good"

    def configuration(self, port: int) -> str:
        return config.settings(self.folder, addresses(port), slurm=True, engine=ENGINE, research_user="games",
                               gpu_memory=8_000_000, ladder=["vllm"])  # fmt: skip


@pytest.fixture
def site(slurm_cluster: Cluster) -> Iterator[RealEngines]:
    if not (ENGINE / "bin" / "vllm").exists() or not (SHELF / "good").is_dir():
        pytest.skip("the engine environment or the tiny models are missing: python3 -m lab.setup")
    with site_in(Path(tempfile.mkdtemp(prefix="dz-")), RealEngines) as site:
        yield site


def test_a_swap_between_real_engines(site: RealEngines) -> None:
    """Canary, takeover, rollback, a second swap: no request lost."""
    swap_under_load(site)
    site.retire(*(one.id for one in site.deployments()))
