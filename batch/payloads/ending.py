"""How a job that makes weights ends: its exit status, and failure.json, where the service looks for the reason.

Exit status: 0 published; 1 a person must act first; 75 worth trying again; 143 told to stop. Standard library only.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lifecycle.errors import DayzeroError, Refused
from lifecycle.runfolder import read_json, write_json


class Stopped(Exception):
    """Told to end (SIGTERM), or another part of the job has failed for good."""


def job_id() -> str:
    """The id that a person and the service know the job by: of all tasks of an array the same. '': not of Slurm."""
    return os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", "")


def ended(reports: Path, work: Callable[[threading.Event], None], stopped: str) -> int:
    """Do `work`, which looks at the event that SIGTERM sets; the exit status. `stopped`: said when it was told to."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    failure = reports / "failure.json"
    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    found = read_json(failure) or {}
    if found.get("job") != job_id() or found.get("task", "") == task:  # what another task has said stays
        failure.unlink(missing_ok=True)
    try:
        work(stop)
    except Stopped:
        print(stopped, file=sys.stderr)
        return 143
    except DayzeroError as error:
        return _fail(failure, task, error)
    except OSError as error:
        return _fail(failure, task, Refused(f"The shared file system says: {error}.", "Mend it, then retry."))
    return 0


def _fail(path: Path, task: str, error: DayzeroError) -> int:
    print(error.advice, file=sys.stderr)
    said = {"sentence": str(error), "retryable": error.retryable, "next_step": error.next_step}
    with contextlib.suppress(OSError):
        write_json(path, {**said, "job": job_id(), **({"task": task} if task else {})})
    return 75 if error.retryable else 1
