"""The processes of one attempt: one engine_rank on each node, by one srun or as our own children."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from batch.payloads.engine_rank import WARNED
from batch.payloads.launch import engines
from batch.payloads.launch.allocation import Allocation
from batch.payloads.launch.engines import Place
from batch.payloads.launch.failures import Written
from batch.payloads.launch.logs import Log
from batch.payloads.launch.order import Order, Rung

RANK = "batch.payloads.engine_rank"
MARGIN_S = 3  # for a rank to kill its engine, before we go over its head


class Ranks:
    """Started by the constructor; `stop` leaves nothing behind."""

    def __init__(self, order: Order, rung: Rung, place: Place, allocation: Allocation, folder: Path):
        self._local, self._job, self._stop_s = allocation.local, allocation.job, order.limits.stop_s
        nodes = allocation.nodes[: len(place.addresses)]
        stem = f"{rung.number}-{rung.name}"
        self.logs = [Log(folder / f"{stem}-rank{rank}.log") for rank in range(len(nodes))]
        self._srun_log = folder / f"{stem}-srun.log"
        described = [
            {
                "argv": _filled(
                    engines.ENGINES[rung.engine].argv(order, rung, place, rank), rank, node, place, self._job
                ),
                "environment": {
                    key: engines.fill(value, rank=rank, node=node, address=place.addresses[rank], job=self._job)
                    for key, value in rung.environment.items()
                },
                "log": str(self.logs[rank].path),
                "node": node,
            }
            for rank, node in enumerate(nodes)
        ]
        orders = {
            "ranks": described,
            "launcher": os.getpid(),
            "host": socket.gethostname(),
            "stop_s": order.limits.drain_s,  # at most; we ask twice when we want it sooner
        }
        environment = {**engines.environment(rung, os.environ), "DAYZERO_RANKS": json.dumps(orders)}
        if self._local:
            self._processes = [_child(rank, environment, log) for rank, log in enumerate(self.logs)]
        else:
            self.logs.append(Log(self._srun_log))
            self._processes = [_srun(nodes, environment, self._srun_log)]

    def ended(self) -> int | None:
        """How the first rank ended (negative: a signal), None while all live; WARNED only when no rank ended else."""
        codes = [] if self._local else srun_codes(self.logs[-1].text)
        codes += [code for code in (process.poll() for process in self._processes) if code is not None]
        return next((code for code in codes if code != WARNED), codes[0] if codes else None)

    def follow(self) -> list[list[str]]:
        """New lines of each rank's log. Asked often, so that a log of days is never read at once."""
        return [log.fresh() for log in self.logs]

    def written(self) -> list[Written]:
        """What each process wrote in this attempt."""
        return [Written(log.path.name, log.text, log.tail()) for log in self.logs]

    def stop(self, patience_s: float | None = None) -> None:
        """End every rank. Asked once, a rank lets its engine finish; asked again, it kills; then we kill it."""
        for wait_s in (self._stop_s if patience_s is None else patience_s, MARGIN_S):
            for process in self._processes:
                _send(process, signal.SIGUSR2)
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline and any(process.poll() is None for process in self._processes):
                time.sleep(0.05)
        for process in self._processes:
            if process.poll() is None and not self._local:
                self._kill_step()
            if process.poll() is None:
                _send(process, signal.SIGKILL)
            process.wait()

    def _kill_step(self) -> None:
        """Killing srun alone would leave its step running."""
        found = re.findall(r"^dayzero: rank 0 on .*?, step (\d+):", self.logs[0].text, re.MULTILINE)
        if found and (scancel := shutil.which("scancel")):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                argv = [scancel, "--signal=KILL", f"{self._job}.{found[-1]}"]
                subprocess.run(argv, timeout=10, check=False, capture_output=True)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and self._processes[0].poll() is None:
                time.sleep(0.05)


def _filled(argv: Sequence[str], rank: int, node: str, place: Place, job: str) -> list[str]:
    return [engines.fill(word, rank=rank, node=node, address=place.addresses[rank], job=job) for word in argv]


def _child(rank: int, environment: Mapping[str, str], log: Log) -> subprocess.Popen:
    """A session of its own: Ctrl-C, and a SIGTERM to our group, are for the launcher to pass on."""
    argv = [sys.executable, "-m", RANK, "--rank", str(rank), "--die-with", str(os.getpid())]
    with log.path.open("ab") as file:
        return subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _srun(nodes: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen:
    argv = srun_argv(nodes)
    with log.open("ab") as file:
        return subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def srun_argv(nodes: Sequence[str]) -> list[str]:
    """One step over `nodes`, one rank on each, all of a node's CPUs; the first to fail takes the others along."""
    count = str(len(nodes))
    return [
        "srun",
        f"--nodes={count}",
        f"--ntasks={count}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(nodes)}",
        "--kill-on-bad-exit=1",
        "--cpu-bind=none",
        "--mpi=none",
        "--export=ALL",
        "--input=none",
        "--unbuffered",
        sys.executable,
        "-m",
        RANK,
    ]


_TASK = re.compile(r"^srun: error: \S+: tasks? [\d,-]+: (?:Exited with exit code (\d+)|\w)", re.MULTILINE)


def srun_codes(text: str) -> list[int]:
    """What srun said of ranks that ended. It waits for the others, as long as KillWait: read it instead of waiting."""
    return [int(code) if code else -signal.SIGKILL for code in _TASK.findall(text)]


def _send(process: subprocess.Popen, number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
