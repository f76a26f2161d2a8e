"""How much memory the runner takes for so many samples: a process of its own, so that its peak is the runner's.

    python -m bench.gauntlet_memory URL SAMPLES

Prints the peak of the resident memory in MB. The run is prepared by another process: the service may take more.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gauntlet import loop
from gauntlet.runfiles import read_run
from gauntlet.runner import run_shard


def main() -> None:
    url, samples = sys.argv[1], int(sys.argv[2])
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    try:
        make = f"from bench.gauntlet import prepared; prepared({url!r}, 64, {samples}, {str(folder)!r})"
        subprocess.run([sys.executable, "-c", make], check=True)
        loop.run(run_shard(read_run(folder / "run"), folder / "run", 0, ""))
        assert (folder / "run" / "shard-0.jsonl").exists()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
