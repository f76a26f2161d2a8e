"""Shared memory that a killed engine leaves in /dev/shm: Python names it psm_*, and nobody else ever removes it.

A node that restarts engines for weeks would lose its memory to it. Standard library only.
"""

import contextlib
import os
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
SETTLED_S = 2.0
"""What is younger may be between its creation and its first use."""


def sweep(began: float, folder: Path = SHARED_MEMORY) -> int:
    """Remove our user's segments that were made since `began` (epoch seconds) and that no process has mapped.

    Those of another engine of ours on this node are mapped by it. Where a process of ours can't be looked into nothing
    is removed. Returns how many went.
    """
    found = [path for path in _segments(folder) if _ours(path, began)]
    if not found:
        return 0
    mapped = _mapped(folder)
    if mapped is None:
        return 0
    gone = 0
    for path in found:
        if str(path) not in mapped:
            with contextlib.suppress(OSError):
                path.unlink()
                gone += 1
    return gone


def _segments(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [folder / name for name in os.listdir(folder) if name.startswith("psm_")]
    return []


def _ours(path: Path, began: float) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_uid == os.getuid() and began <= state.st_ctime <= time.time() - SETTLED_S


def _mapped(folder: Path) -> set[str] | None:
    """Every file of `folder` that a process has mapped; None when one of our own can't be asked."""
    marks: set[str] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or name == "1":  # init serves nothing, and in a container even root can't look into it
            continue
        try:
            lines = Path(f"/proc/{name}/maps").read_text(errors="replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            if _is_ours(name):
                return None
            continue
        marks |= {line[line.index(str(folder)) :] for line in lines if f" {folder}/" in line}
    return marks


def _is_ours(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except OSError:
        return False
