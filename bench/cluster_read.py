"""A site of 1,000 nodes and 10,000 jobs, read by us and by `squeue --json`.

    python -m bench.cluster_read

A real slurmctld that knows 1,000 nodes, eight of them with a slurmd (a thousand starting at once were more than one
machine bears; a node that is down is answered for like any other). Some of the jobs run; the rest is held in the queue,
each a job of its own. What a tick does, one snapshot of everything, is timed beside squeue alone and beside what a
program gets that asks for JSON and parses it. DAYZERO_BENCH_NODES and DAYZERO_BENCH_JOBS make it smaller.
"""

import json
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batch.scheduler.commands import reading_environment
from batch.scheduler.slurm import SlurmScheduler
from batch.scheduler.squeue_text import squeue_argv
from lab.slurm import probe
from lab.slurm.cluster import Cluster as Lab
from lifecycle.sections.cluster import Cluster

NODES = int(os.environ.get("DAYZERO_BENCH_NODES", "1000"))
JOBS = int(os.environ.get("DAYZERO_BENCH_JOBS", "9990"))
"""slurmctld's MaxJobCount is 10,000 as delivered."""
SLURMDS = 8
PYTHON = os.environ.get("DAYZERO_OTHER_PYTHON", "")
RUNNING = 200
AT_ONCE = 4
ROUNDS = 7
STARTS_WITHIN_S = 600


def main() -> int:
    if reason := probe.available():
        print(f"skipped: {reason}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    folder.chmod(0o755)
    size = {"cpus_per_node": 64, "gpus_per_node": 8, "slurmd_timeout_s": 300}
    lab = Lab(folder / "slurm", nodes=SLURMDS, absent_nodes=NODES - SLURMDS, **size)
    try:
        began = time.monotonic()
        lab.up()
        os.environ.update(lab.env())
        print(
            f"{NODES} nodes, {SLURMDS} of them with a slurmd, are up after {time.monotonic() - began:.0f} s", flush=True
        )
        jobs = fill()
        print(f"{jobs} jobs are there after {time.monotonic() - began:.0f} s", flush=True)
        measure(folder, jobs)
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def fill() -> int:
    """Some running jobs, the rest held; returns how many there are."""
    first = ["--account=research", "--qos=research", "--partition=research", "--output=/dev/null", "--mem=1"]
    running = min(JOBS, RUNNING)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = range(JOBS - running)
        big = [*first, "--hold", "--nodes=2", "--gres=gpu:toy:8", "--wrap=true"]
        list(pool.map(lambda n: sbatch([*big, f"--job-name=held-{n}"]), held))
        list(pool.map(lambda n: sbatch([*first, f"--job-name=runs-{n}", "--wrap=sleep 86400"]), range(running)))
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and len(said("squeue", "-h", "-t", "R", "-o", "%A")) < running:
        time.sleep(1)
    return len(said("squeue", "-h", "-r", "-o", "%A"))


def sbatch(options: Sequence[str]) -> None:
    """A busy slurmctld is asked again."""
    for patience_s in (1, 5, 20, 60):
        if not subprocess.run(["sbatch", "--quiet", *options], capture_output=True, cwd="/").returncode:
            return
        time.sleep(patience_s)
    subprocess.run(["sbatch", "--quiet", *options], check=True, cwd="/")


def said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True).stdout.split()


def measure(folder: Path, jobs: int) -> None:
    scheduler = SlurmScheduler(Cluster(), folder / "own", time.time)

    def ours() -> None:
        snapshot = scheduler.snapshot(())
        assert snapshot.ok, snapshot.silence

    def squeue() -> None:
        mark = secrets.token_hex(6)
        subprocess.run(squeue_argv(mark), check=True, capture_output=True, env=reading_environment(os.environ))

    def by_json() -> None:
        done = subprocess.run(["squeue", "--json"], check=True, capture_output=True)
        assert json.loads(done.stdout)["jobs"]

    ways = {
        "one snapshot, as a tick takes it": (ours, ROUNDS),
        "  of that squeue": (squeue, ROUNDS),
        "squeue --json, parsed": (by_json, 3),
    }
    by_pyslurm = SlurmScheduler(Cluster(reader="pyslurm", pyslurm_python=PYTHON), folder / "own", time.time)
    if (name := by_pyslurm.reader.name).startswith("pyslurm"):
        ways[f"one snapshot by {name}"] = (lambda: by_pyslurm.snapshot(()), ROUNDS)
    print(f"{NODES} nodes, {jobs} jobs; seconds, median (worst) of {ROUNDS}, of JSON 3; processor time of both sides")
    for name, (way, rounds) in ways.items():
        seconds, busy = zip(*(timed(way) for _ in range(rounds)), strict=True)
        print(f"  {name:50} {statistics.median(seconds):6.3f} ({max(seconds):.3f})  {statistics.median(busy):6.3f}")


def timed(way: Callable[[], None]) -> tuple[float, float]:
    """(wall, processor) seconds, children's included: on a busy machine only the second says something."""
    began, before = time.perf_counter(), processor_s()
    way()
    return time.perf_counter() - began, processor_s() - before


def processor_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    sys.exit(main())
