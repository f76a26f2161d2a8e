"""Is a Slurm job at work? Asked on a node, about another job. Standard library only."""

import subprocess

ASK_S = 5.0
AT_WORK = frozenset("RUNNING COMPLETING CONFIGURING RESIZING SIGNALING STAGE_OUT STOPPED SUSPENDED".split())
"""States with processes that may write, now or when they are let go on. One that waits to run again has none."""


def at_work(job: str) -> bool | None:
    """Does any task of the job have processes? None: Slurm does not answer, or is not here."""
    argv = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return False if "Invalid job id" in answer.stderr else None
    return not AT_WORK.isdisjoint(answer.stdout.split())
