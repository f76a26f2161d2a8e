"""A cluster for the length of a test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.slurm.cluster import Cluster


@contextmanager
def temporary_cluster(**shape: object) -> Iterator[Cluster]:
    """A running cluster in a folder of its own that is removed afterwards; `shape` as for `Cluster`.

    The folder is short and open to other users, which pytest's tmp_path is not.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, **shape)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder)
