"""A copy of the accounting database as it is before the first job: copying it is faster than making it again.

The copies lie in the user's cache folder, one for each shape, Slurm, MariaDB and text of the modules that make it.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.slurm import accounting, database, probe
from lab.slurm.layout import Layout
from lab.slurm.shape import Shape

KEPT = 4
"""How many copies may stay; each takes some 30 MiB."""


def cache_folder() -> Path:
    """Where the copies are."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dayzero" / "slurm-accounting"


def restore(layout: Layout, shape: Shape) -> bool:
    """Give a new cluster its database; False when there is no copy for that shape, or the cluster has a database."""
    kept = cache_folder() / _key(shape)
    if (layout.mysql / "mysql").is_dir() or not kept.is_dir():
        return False
    unfinished = layout.folder / "mysql.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(kept, unfinished)
    shutil.rmtree(layout.mysql, ignore_errors=True)
    unfinished.rename(layout.mysql)
    return True


def keep(layout: Layout, shape: Shape) -> None:
    """Copy the database; MariaDB must be down. Whoever else makes the same copy at the same time does no harm."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
    try:
        shutil.copytree(layout.mysql, unfinished, dirs_exist_ok=True)
        unfinished.rename(folder / _key(shape))
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)  # another up was faster
    copies = sorted((path for path in folder.iterdir() if len(path.name) == 64), key=lambda path: path.stat().st_mtime)
    for old in copies[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _key(shape: Shape) -> str:
    parts = [shape.to_json().encode()]
    parts += [Path(module.__file__).read_bytes() for module in (accounting, database)]
    for name in ("slurmctld", "mariadbd"):
        parts.append(subprocess.run([probe.program(name), "-V"], capture_output=True, check=True).stdout)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
