#!/usr/bin/env python3
"""A training run as a researcher would submit it: steps, a checkpoint on SIGTERM, and on from there after a requeue.

Reads TRAIN_SECONDS (how long the whole training takes, over all its runs). One step takes half a second.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

STEP_S = 0.5


def main() -> None:
    """Train until all steps are done, or until somebody sends TERM."""
    name, job = os.environ["SLURM_JOB_NAME"], os.environ["SLURM_JOB_ID"]
    checkpoint = Path(f"{name}-{job}.checkpoint.json")
    last = max(1, int(float(os.environ["TRAIN_SECONDS"]) / STEP_S))
    step = 0

    def save() -> None:
        partial = checkpoint.with_suffix(".partial")
        partial.write_text(json.dumps({"step": step, "of": last}))
        partial.replace(checkpoint)

    def stop(number: int, frame: FrameType | None) -> None:
        save()
        print(f"stopped by signal {number}: saved step {step}", flush=True)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    where = os.environ.get("SLURMD_NODENAME", "somewhere")
    if checkpoint.exists():
        step = json.loads(checkpoint.read_text())["step"]
        print(f"{name} on {where}: resumed at step {step} of {last}", flush=True)
    else:
        print(f"{name} on {where}: started, {last} steps", flush=True)
    while step < last:
        time.sleep(STEP_S)
        step += 1
        if step % 20 == 0:
            print(f"step {step} loss {2 + 8 / (1 + step / 50):.3f}", flush=True)
            save()
    print(f"finished at step {step}", flush=True)


if __name__ == "__main__":
    main()
