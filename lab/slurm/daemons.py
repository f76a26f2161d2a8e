"""Start and stop the cluster's daemons, each known by a pid file in the folder."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lab.slurm import probe, processes
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout
from lab.slurm.processes import Process

MARK = "DAYZERO_LAB_SLURM"
"""In the environment of every daemon of ours, with the cluster's folder as its value; slurmstepd inherits it.

So `down` finds what an `up` that was killed had started before it could write a pid file. Client commands
and the people who use the cluster don't carry it.
"""

NODE_MARK = "DAYZERO_LAB_NODE"

START_TIMEOUT_S = 60
"""How long one daemon may take; on an idle machine each takes well under 3 s."""


def pid_file(layout: Layout, name: str) -> Path:
    """Where the daemon's pid and start time are written."""
    return layout.run / f"{name}.pid.json"


def start(layout: Layout, name: str, argv: list[str], extra: dict[str, str] | None = None) -> Process:
    """Start a daemon in a session of its own, so that it outlives us; stdout and stderr go to logs/<name>.out."""
    environment = {
        "PATH": probe.SEARCH_PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "SLURM_CONF": str(layout.conf),
        MARK: str(layout.folder),
        **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}),
        **(extra or {}),
    }
    out = str(layout.logs / f"{name}.out")
    # Not Popen: it warns when the object goes away while its process lives, and these are meant to outlive us.
    pid = os.posix_spawn(
        probe.program(argv[0]) or argv[0],
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )
    process = processes.look(pid)
    if process is None:
        raise died(layout, name)
    partial = pid_file(layout, name).with_suffix(".partial")
    partial.write_text(json.dumps({"pid": process.pid, "started": process.started}))
    partial.replace(pid_file(layout, name))
    return process


def find(layout: Layout, name: str) -> Process | None:
    """The daemon, if it is alive."""
    try:
        process = Process(**json.loads(pid_file(layout, name).read_text()))
    except FileNotFoundError:
        return None
    return process if process.alive else None


def names(layout: Layout) -> list[str]:
    """The daemons that have a pid file."""
    return [path.name.removesuffix(".pid.json") for path in sorted(layout.run.glob("*.pid.json"))]


def died(layout: Layout, name: str) -> SlurmLabError:
    """The error for a daemon that ended by itself, with its last words."""
    for path in (layout.logs / f"{name}.out", layout.logs / f"{name}.log"):
        if path.exists() and (words := path.read_text(errors="replace").strip().splitlines()):
            loud = [line for line in words if "fatal" in line or "error" in line.lower()] or words
            return SlurmLabError(f"{name} ended by itself: {loud[-1].strip()} (all of it is in {path}); run up again")
    return SlurmLabError(f"{name} ended by itself and said nothing; run up again")


def wait(layout: Layout, name: str, ready: Callable[[], bool]) -> None:
    """Wait until `ready`; SlurmLabError when the daemon dies first or START_TIMEOUT_S pass."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if find(layout, name) is None:
            raise died(layout, name)
        if time.monotonic() > deadline:
            log = layout.logs / f"{name}.log"
            raise SlurmLabError(f"{name} was not ready after {START_TIMEOUT_S} s: read {log}, then run up again")
        time.sleep(0.02)
