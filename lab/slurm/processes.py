"""Processes as the kernel shows them: a pid is only believed together with its start time."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process; `started` is in clock ticks since boot, so a reused pid is not mistaken for it."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """True while it runs; a zombie is dead, and is reaped if it is our child."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return look(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command's name (which may hold spaces): state, ppid, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def look(pid: int) -> Process | None:
    """The living process with that pid."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Process(pid, int(fields[19]))


def with_environment(*wanted: str) -> list[Process]:
    """Every process whose environment at exec held an entry that starts with each of `wanted` (not this one)."""
    prefixes = [entry.encode() for entry in wanted]
    found = []
    for pid in _pids():
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        matches = all(any(entry.startswith(prefix) for entry in entries) for prefix in prefixes)
        if matches and pid != os.getpid() and (process := look(pid)):
            found.append(process)
    return found


def descendants(roots: Iterable[Process]) -> list[Process]:
    """The children of `roots`, and theirs, without the roots."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        if fields := _stat(pid):
            children.setdefault(int(fields[1]), []).append(pid)
    waiting, found = [process.pid for process in roots], []
    while waiting:
        for pid in children.get(waiting.pop(), []):
            waiting.append(pid)
            if process := look(pid):
                found.append(process)
    return found


def stop(processes: Iterable[Process], patience_s: float) -> None:
    """TERM (and CONT, for a stopped one), wait up to `patience_s`, then KILL what is left and see it gone."""
    processes = list(processes)
    for process in processes:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)
    if not _gone(processes, patience_s):
        kill(processes)


def kill(processes: Iterable[Process]) -> None:
    """KILL, and see them gone."""
    processes = list(processes)
    for process in processes:
        process.send(signal.SIGKILL)
    _gone(processes, 5)


def _gone(processes: list[Process], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while any([process.alive for process in processes]):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
