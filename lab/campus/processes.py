"""The lab's servers and our own services as child processes: started with a log, told to stop, never left behind."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch.scheduler import local_processes

STOP_S = 15
PR_SET_PDEATHSIG = 1


class NotUp(Exception):
    """A process ended or stayed silent; the text holds the end of its log."""


@dataclass
class Process:
    """One child. `port` is read from its port file once it answers; `log` is where it prints."""

    name: str
    child: subprocess.Popen
    log: Path
    ports: tuple[int, ...] = ()

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    @property
    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the signal and wait; what does not go is killed."""
        if self.alive:
            self.child.send_signal(number)
        try:
            self.child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def start(name: str, argv: Sequence[str], logs: Path, environment: Mapping[str, str], cwd: Path) -> Process:
    """Start a child that dies with us, however we die."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            preexec_fn=_die_with_parent,  # noqa: PLW1509  it only makes a system call
        )
    return Process(name, child, log)


def with_ports(process: Process, port_file: Path, timeout_s: float = 60) -> Process:
    """Wait until the child has written its ports. NotUp when it ended first or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not port_file.exists():
        if not process.alive or time.monotonic() > deadline:
            raise NotUp(f"{process.name} did not come up:\n{process.tail}")
        time.sleep(0.02)
    process.ports = tuple(int(line) for line in port_file.read_text().split())
    return process


def end_all_marked(mark: str) -> None:
    """End every process that has `mark` ('NAME=value') in its environment: SIGTERM, after a while SIGKILL."""
    deadline = time.monotonic() + STOP_S
    local_processes.send(local_processes.marked(mark), signal.SIGTERM)
    while left := local_processes.marked(mark):
        if time.monotonic() > deadline:
            local_processes.send(left, signal.SIGKILL)
        time.sleep(0.1)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
