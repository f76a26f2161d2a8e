"""Is a job at work? Asked on a node, about another job. Standard library only."""

import os
import subprocess
from pathlib import Path

ASK_S = 5.0
AT_WORK = frozenset("RUNNING COMPLETING CONFIGURING RESIZING SIGNALING STAGE_OUT STOPPED SUSPENDED".split())
"""States with processes that may write, now or when they are let go on. One that waits to run again has none."""


def at_work(job: str) -> bool | None:
    """Does any task of the job have processes? None: the scheduler does not answer, or is not here."""
    if ours := os.environ.get("DAYZERO_LOCAL_TASK"):
        return _at_work_here(Path(ours).parents[2] / job / "tasks")
    argv = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return False if "Invalid job id" in answer.stderr else None
    return not AT_WORK.isdisjoint(answer.stdout.split())


def _at_work_here(tasks: Path) -> bool | None:
    """The same, of LocalScheduler's folder of the job's tasks (batch/scheduler/local_jobs.py)."""
    try:
        return any((task / "started.json").exists() and not (task / "ended.json").exists() for task in tasks.iterdir())
    except OSError:
        return None
