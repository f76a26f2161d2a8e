"""A day's load in ten minutes: memory, descriptors and threads of one worker, minute by minute.

Requests and streams as fast as they go, some of them by callers who hang up, some with a wrong key, some for a model
that isn't there. BENCH_MINUTES: for how long (1).
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench._contenders import Contender, ours
from bench._machine import free_port, rss, running
from bench.gateway import HERE, LOAD, UNDER_TEST, _answers, _load, _request
from gateway import usage

MINUTES = float(os.environ.get("BENCH_MINUTES", "1"))
ROUNDS = 10
RUDE = 50
"""Callers in each round who leave before their answer."""


def main() -> None:
    if missing := [tool for tool in ("wrk", "gcc", "taskset") if shutil.which(tool) is None]:
        print(f"skipped: needs {', '.join(missing)} (Debian: apt-get install wrk gcc util-linux)")
        return
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    try:
        _run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> None:
    binary, mock = folder / "mock", free_port()
    subprocess.run(["gcc", "-O2", "-o", str(binary), str(HERE / "gateway_mock.c")], check=True)
    with running([str(binary), str(mock)], mock, LOAD):
        who = ours(folder, mock)
        with running(who.command, who.port, UNDER_TEST, patience_s=who.patience_s) as process:
            while not _answers(who):
                time.sleep(0.05)
            print("| minute | requests so far | RSS MB | descriptors | threads |\n|---|---|---|---|---|")
            seconds = max(1, round(MINUTES * 60 / ROUNDS / 2))
            for n in range(ROUNDS):
                _load(folder, who, 64, False, seconds)
                _load(folder, who, 32, True, seconds)
                _be_rude(who)
                time.sleep(1)
                rows = usage.rows(folder / "state" / "gateway.db", 1)
                cells = (f"{(n + 1) * MINUTES / ROUNDS:.1f}", rows[0]["id"], f"{rss(process.pid) / 2**20:.1f}")
                cells = (*cells, _count(process.pid, "fd"), _count(process.pid, "task"))
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def _be_rude(who: Contender) -> None:
    request = _request(who)
    for raw in (request, request.replace(b"org/model", b"org/modal"), request.replace(b"Bearer dz", b"Bearer zz")):
        for _ in range(RUDE):
            with socket.create_connection(("127.0.0.1", who.port), timeout=10) as connection:
                connection.sendall(raw)


def _count(pid: int, what: str) -> int:
    return len(os.listdir(f"/proc/{pid}/{what}"))


if __name__ == "__main__":
    main()
