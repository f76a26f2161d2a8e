"""One rank of an engine: `python -m batch.payloads.engine_rank`, started once on each node. Standard library only.

It stands between Slurm (or the launcher) and the engine, because the engine can't be trusted to end:

- SIGTERM comes from Slurm, at the beginning of a preemption, to job steps only; or because another rank died. The
  engine goes on; the launcher on the first node is told by SIGUSR1, and finds out which.
- SIGUSR2 is that stop: SIGTERM to the engine, and SIGKILL to all that is left after stop_s or at a second SIGUSR2. So
  is the launcher's death where no Slurm would clean up.
- When the engine ends, all it started is killed: workers outlive a killed vLLM, and keep its GPU memory.

DAYZERO_RANKS in the environment: {"ranks": [{"argv", "log", "environment", "node"}], "launcher": pid, "host": name,
"stop_s": s}; the rank is --rank, else SLURM_PROCID. Exit status: the engine's; 128 + n for a signal; WARNED when
SIGTERM came first, which with some of Slurm's process trackers reaches the engine too.
"""

import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from batch.payloads.engine_leftovers import sweep

WARNED = 99
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
POLL_S = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one rank of an engine.")
    parser.add_argument("--rank", type=int, default=int(os.environ.get("SLURM_PROCID", "0")))
    parser.add_argument("--die-with", type=int, help="pid of the launcher, when it is the parent")
    options = parser.parse_args()
    orders = json.loads(os.environ.pop("DAYZERO_RANKS"))
    rank = orders["ranks"][options.rank]
    stop = Stop(orders)
    signal.signal(signal.SIGTERM, stop.warned)
    signal.signal(signal.SIGUSR2, stop.ordered)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if options.die_with is not None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGUSR2, 0, 0, 0)
        if os.getppid() != options.die_with:  # it died before we asked to be told
            return 1
    with Path(rank["log"]).open("ab", buffering=0) as log:
        return supervise(rank, options.rank, stop, log, float(orders["stop_s"]))


class Stop:
    """What signals have asked for."""

    def __init__(self, orders: dict):
        self.asked = 0
        self.was_warned = False
        self._launcher, self._host = orders["launcher"], orders["host"]

    def ordered(self, *_: object) -> None:
        self.asked += 1

    def warned(self, *_: object) -> None:
        self.was_warned = True
        if self._host == socket.gethostname():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._launcher, signal.SIGUSR1)


def supervise(rank: dict, number: int, stop: Stop, log, stop_s: float) -> int:
    """Run the engine until it ends or is to end; nothing it started is left when this returns."""

    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk
            log.write(f"dayzero: {text}\n".encode())

    step = os.environ.get("SLURM_STEP_ID", "")
    say(f"rank {number} on {rank['node']}, step {step or '-'}: {' '.join(rank['argv'])}")
    try:
        engine = subprocess.Popen(
            rank["argv"],
            env={**os.environ, **rank["environment"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_prepare,  # noqa: PLW1509 - there is one thread
        )
    except OSError as error:
        say(f"{rank['argv'][0]} can't be started: {error.strerror}")
        return 127
    kill_at, began = None, time.time()
    while engine.poll() is None:
        if stop.asked and kill_at is None:
            kill_at = time.monotonic() + stop_s
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine.pid, signal.SIGTERM)
        if stop.asked > 1 or (kill_at is not None and time.monotonic() > kill_at):
            say("it did not end after SIGTERM: killed")
            break
        time.sleep(POLL_S)
    bury(engine)
    if left := sweep(began - 1):
        say(f"{left} pieces of shared memory that the engine left in /dev/shm are removed")
    code = engine.returncode
    say(f"rank {number} {'ended as it was told' if stop.asked else 'ended by itself'}, exit status {code}")
    if stop.was_warned:
        return WARNED
    if code == 0 and not stop.asked:
        return 1  # nobody asked it to end: the others must hear of it
    return 128 - code if code < 0 else code


def _prepare() -> None:
    """In the engine, before its program: it dies with its rank, and what is meant for the rank doesn't kill it.

    Slurm's linuxproc tracker sends a step's signals to every process in it.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def bury(engine: subprocess.Popen) -> None:
    """Kill the engine and every descendant; orphans became our children, so none escapes. Ends when all are reaped."""
    deadline = time.monotonic() + 10  # what hangs in the kernel (a dead file system) can't be waited for
    while time.monotonic() < deadline:
        left = descendants(os.getpid())
        if engine.poll() is not None and not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S / 5)
        for pid in left:
            if pid != engine.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def descendants(root: int) -> list[int]:
    """Every process below `root`, by /proc; zombies that aren't ours to reap are left out."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, *_ = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if state not in "ZX" or int(parent) == root:
                    parents[int(name)] = int(parent)
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found - {root})


if __name__ == "__main__":
    sys.exit(main())
