"""A site of 1,000 nodes and 10,000 jobs, read by us and by `squeue --json`.

    python -m bench.cluster_read

Real slurmds, one for each node, all on this machine, which should have nothing else to do (6 GB of memory, many
minutes). A few of the jobs run; the rest is held in the queue. What a tick does, one snapshot of everything, is timed
beside what a program gets that asks for JSON and parses it. DAYZERO_BENCH_NODES and DAYZERO_BENCH_JOBS make it smaller.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batch.scheduler.slurm import SlurmScheduler
from lab.slurm import daemons, probe
from lab.slurm.cluster import Cluster as Lab
from lifecycle.sections.cluster import Cluster

NODES = int(os.environ.get("DAYZERO_BENCH_NODES", "1000"))
JOBS = int(os.environ.get("DAYZERO_BENCH_JOBS", "9990"))
"""slurmctld's MaxJobCount is 10,000 as delivered."""
RUNNING = 50
"""More would be more processes than one machine starts at once."""
AT_ONCE = 4
ROUNDS = 7
STARTS_WITHIN_S = 600


def main() -> int:
    if reason := probe.available():
        print(f"skipped: {reason}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    folder.chmod(0o755)
    lab = Lab(folder / "slurm", nodes=NODES, slurmd_timeout_s=300)
    daemons.START_TIMEOUT_S = STARTS_WITHIN_S  # a minute is for the lab's handful
    try:
        began = time.monotonic()
        lab.up()
        os.environ.update(lab.env())
        print(f"{NODES} slurmds are up after {time.monotonic() - began:.0f} s", flush=True)
        jobs = fill(NODES)
        print(f"{jobs} jobs are there after {time.monotonic() - began:.0f} s", flush=True)
        measure(folder, jobs)
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def fill(nodes: int) -> int:
    """Some running jobs, the rest held; returns how many there are."""
    first = ["--account=research", "--qos=research", "--partition=research", "--output=/dev/null", "--mem=1"]
    running = min(nodes, RUNNING)
    sbatch([*first, "--exclusive", f"--array=0-{running - 1}", "--wrap=sleep 86400"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = range(JOBS - running)
        list(pool.map(lambda n: sbatch([*first, "--hold", f"--job-name=held-{n}", "--wrap=true"]), held))
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

    def by_json() -> None:
        done = subprocess.run(["squeue", "--json"], check=True, capture_output=True)
        assert json.loads(done.stdout)["jobs"]

    text, slow = timed(ours, ROUNDS), timed(by_json, 3)
    print(f"{NODES} nodes, {jobs} jobs; seconds, median (worst) of {ROUNDS} and of 3")
    print(f"  one snapshot, as a tick takes it   {statistics.median(text):6.3f} ({max(text):.3f})")
    print(f"  squeue --json, parsed              {statistics.median(slow):6.3f} ({max(slow):.3f})")
    print(f"  ratio                              {statistics.median(slow) / statistics.median(text):6.1f}")


def timed(what: Callable[[], None], rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
