"""What several suites share: one real Slurm cluster for the whole session."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.slurm import probe
from lab.slurm.cluster import Cluster


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """Four nodes with one fake GPU each, up for the session; SLURM_CONF is set. Skips where Slurm can't run."""
    if reason := probe.available():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="dz-"))  # pytest's own are too long for unix sockets
    folder.chmod(0o755)
    cluster = Cluster(folder / "slurm", nodes=4, gpus_per_node=1, kill_wait_s=4, slurmd_timeout_s=6)
    before = os.environ.get("SLURM_CONF")
    try:
        cluster.up()
        os.environ.update(cluster.env())
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop("SLURM_CONF", None)
        else:
            os.environ["SLURM_CONF"] = before
