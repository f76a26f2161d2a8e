"""Processes as /proc shows them. A pid is believed only with its start time and this boot. Standard library only."""

import contextlib
import os
import signal
from pathlib import Path


def identity(pid: int) -> dict | None:
    """{"pid", "ticks", "boot"} of a living process, None for a dead one or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else {"pid": pid, "ticks": int(fields[19]), "boot": boot}


def alive(known: dict) -> bool:
    """Is this still the process that `identity` saw?"""
    return identity(known["pid"]) == {key: known[key] for key in ("pid", "ticks", "boot")}


def marked(mark: str) -> list[int]:
    """Every living process that was started with `mark` ('NAME=value') in its environment, and isn't this one."""
    wanted, found = mark.encode(), []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if pid != os.getpid() and wanted in entries and identity(pid):
                found.append(pid)
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal those that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
