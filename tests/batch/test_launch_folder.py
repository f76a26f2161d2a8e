"""What a launcher finds and leaves: another job's folder, shared memory of a killed engine."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from batch.payloads import engine_leftovers
from batch.payloads.launch.claim import other_job
from lifecycle.runfolder import write_json
from tests.batch.launching import ROOT, Launch, rung
from tests.waiting import until


def test_a_second_job_leaves_a_served_folder_alone(tmp_path: Path) -> None:
    """sbatch by hand on a script whose job still serves: refused with the other's number, its address untouched."""
    first = Launch(tmp_path, [rung()], nodes=1).start()
    try:
        endpoint = first.up()
        environment = {**os.environ, "DAYZERO_LOCAL": "1", "SLURM_JOB_ID": "78", "SLURM_JOB_NODELIST": "localhost"}
        argv = [sys.executable, "-m", "batch.payloads.serve", "--run-folder", str(first.run_folder), "--server", "1"]
        second = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180)
        assert second.returncode == 1 and "Job 77 serves from" in second.stderr
        assert first.read("endpoint") == endpoint and not first.read("failure")
    finally:
        first.close()


@pytest.mark.parametrize(
    ("beat", "taken"),
    [
        (None, ""),
        ({"job": "78"}, ""),  # our own, before Slurm requeued us
        ({"job": "77"}, ""),  # left by a job that was killed: it does not move
        ({"job": ""}, ""),  # somebody tried it without Slurm
    ],
)
def test_what_is_left_of_a_dead_job_does_not_hold(tmp_path: Path, beat: dict | None, taken: str) -> None:
    """Only a heartbeat that moves is alive."""
    if beat:
        write_json(tmp_path / "heartbeat.json", beat)
    assert other_job(tmp_path, "78", watch_s=0.6) == taken


MAKER = """
import sys, time
from multiprocessing import shared_memory
made = shared_memory.SharedMemory(create=True, size=4096)
print(made.name, flush=True)
time.sleep(600)
"""


def in_shm(name: str) -> bool:
    return (engine_leftovers.SHARED_MEMORY / name).exists()


def test_shared_memory_of_a_killed_engine_is_removed(tmp_path: Path) -> None:
    """A real rank whose engine holds a segment and is killed: gone; another process's segment stays."""
    other = shared_memory.SharedMemory(create=True, size=4096)
    log = tmp_path / "rank.log"
    described = {"argv": [sys.executable, "-c", MAKER], "environment": {}, "log": str(log), "node": "here"}
    orders = {"ranks": [described], "launcher": os.getpid(), "host": "nowhere", "stop_s": 0}
    environment = {**os.environ, "DAYZERO_RANKS": json.dumps(orders), "PYTHONPATH": str(ROOT)}
    rank = subprocess.Popen([sys.executable, "-m", "batch.payloads.engine_rank"], env=environment)
    try:

        def made() -> str:
            lines = log.read_text().splitlines() if log.exists() else []
            return next((line for line in lines if line.startswith("psm_")), "")

        name = until(made, 60, "the engine's segment")
        until(lambda: time.time() - (engine_leftovers.SHARED_MEMORY / name).stat().st_ctime > 2.5, 30, "it to settle")
        for process in engine_children(rank.pid):  # the engine and what would tidy up after it
            os.kill(process, signal.SIGKILL)
        assert rank.wait(60) != 0
        assert not in_shm(name) and in_shm(other.name)
        assert "left in /dev/shm are removed" in log.read_text()
    finally:
        rank.kill()
        rank.wait()
        other.close()
        other.unlink()


def engine_children(root: int) -> list[int]:
    from batch.payloads.engine_rank import descendants

    return descendants(root)


def test_what_is_not_ours_to_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older than the engine, too young, of another name; and nothing at all where a process can't be looked into."""
    for name in ("psm_new", "psm_young", "sem.x", "torch_1"):
        (tmp_path / name).write_bytes(b"x")
    began = time.time() - 1
    assert engine_leftovers.sweep(began, tmp_path) == 0  # all are too young
    assert engine_leftovers.sweep(time.time() + 60, tmp_path) == 0  # all are older than it
    monkeypatch.setattr(engine_leftovers, "SETTLED_S", 0)
    monkeypatch.setattr(engine_leftovers, "_mapped", lambda folder: None)
    assert engine_leftovers.sweep(began, tmp_path) == 0
    monkeypatch.setattr(engine_leftovers, "_mapped", lambda folder: {str(tmp_path / "psm_young")})
    assert engine_leftovers.sweep(began, tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["psm_young", "sem.x", "torch_1"]
