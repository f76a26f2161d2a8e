"""How many Slurm commands does one look at all jobs cost, with 1 and with 100 live jobs?

    python -m bench.tick_commands

Brings up a toy Slurm of its own, submits held jobs and counts. Beside it: what submitit's own watcher asks for the same
jobs (one sacct that names each of them; without accounting it learns nothing, and it can't see other people's jobs).
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from batch.scheduler.commands import Answer, run
from batch.scheduler.slurm import SlurmScheduler
from lab.slurm import probe
from lab.slurm.cluster import Cluster as Lab
from lifecycle.ports import Script
from lifecycle.sections.cluster import Cluster

SIZES = (1, 100)


def main() -> int:
    if reason := probe.available():
        print(f"skipped: {reason}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    folder.chmod(0o755)
    lab = Lab(folder / "slurm")
    try:
        lab.up()
        os.environ.update(lab.env())
        measure(folder)
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measure(folder: Path) -> None:
    asked: list[str] = []

    def counting(argv: list[str], timeout_s: float) -> Answer:
        asked.append(argv[0])
        return run(argv, timeout_s)

    scheduler = SlurmScheduler(Cluster(), folder / "own", time.time, counting)
    handles: list[str] = []
    print("live jobs  commands per snapshot  seconds  the same with 10 ended jobs that Slurm forgot")
    for size in SIZES:
        while len(handles) < size:
            key = f"bench-{len(handles)}"
            path = folder / f"{key}.sbatch"
            lines = ["#!/bin/bash", f"#SBATCH --job-name={key}", "#SBATCH --hold", "#SBATCH --output=/dev/null", "true"]
            path.write_text("\n".join(lines) + "\n")
            handles.append(scheduler.submit(Script(key, path)))
        cells = []
        for more in ([], [str(900_000 + n) for n in range(10)]):
            asked.clear()
            began = time.perf_counter()
            assert scheduler.snapshot([*handles, *more]).ok
            cells.append((f"{len(asked)} ({' + '.join(asked)})", f"{time.perf_counter() - began:.3f}"))
        print(f"{size:9}  {cells[0][0]:21}  {cells[0][1]:7}  {cells[1][0]}, {cells[1][1]} s")


if __name__ == "__main__":
    sys.exit(main())
