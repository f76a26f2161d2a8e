"""Room for weights: what the file system has free and what quotas leave of it; stripes, where it is Lustre.

Lustre is asked through its own program `lfs`; where that is missing or refuses, the file system alone counts. Standard
library only.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LFS_S = 20.0
LAYOUT = ("-E", "64M", "-c", "1", "-E", "4G", "-c", "4", "-E", "-1", "-c", "-1")
"""Small files on one target; what lies beyond 4 GiB of a file on all of them, so that many nodes read at full width."""


@dataclass(frozen=True)
class Room:
    """`limit`: whose limit it is, as a person knows it."""

    free: int
    limit: str


def room(folder: Path) -> Room:
    """The least of what is free and what the quotas of this user and group leave, in bytes."""
    found = [Room(shutil.disk_usage(folder).free, "the file system")]
    for option, number, what in (("-u", os.getuid(), "user"), ("-g", os.getgid(), "group")):
        said = _lfs("quota", "-q", option, str(number), str(folder))
        if said is not None and (left := quota_left(said)) is not None:
            found.append(Room(left, f"the quota of {what} {number}"))
    return min(found, key=lambda one: one.free)


def quota_left(said: str) -> int | None:
    """Bytes out of `lfs quota -q`: path, KiB used (* when over), soft and hard limit, ... None: there is no limit."""
    words = said.split()
    try:
        used, soft, hard = (int(word.rstrip("*")) for word in words[1:4])
    except ValueError:
        return None
    limit = hard or soft
    return max(0, limit - used) * 1024 if limit else None


def stripe(folder: Path) -> None:
    """What is written here from now on is spread over the targets; best effort."""
    _lfs("setstripe", *LAYOUT, str(folder))


def _lfs(*words: str) -> str | None:
    if shutil.which("lfs") is None:
        return None
    try:
        done = subprocess.run(["lfs", *words], capture_output=True, text=True, timeout=LFS_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
