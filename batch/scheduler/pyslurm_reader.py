"""The queue by pyslurm, in a child process with a time limit. It works only with the Slurm it was built for."""

import json
import sys
from pathlib import Path
from typing import Any

from batch.scheduler.commands import Answer, said
from batch.scheduler.pyslurm_child import NO_PYSLURM
from batch.scheduler.rows import Row
from lifecycle.errors import SchedulerSilent

CHILD = Path(__file__).with_name("pyslurm_child.py")


def argv(python: str = "", *words: str) -> list[str]:
    """The child in that Python (empty: this one). Its text is handed over, so that it may live in another root."""
    return [python or sys.executable, "-I", "-c", CHILD.read_text(), *words]


def read(answer: Answer) -> tuple[str, list[Row]]:
    """(pyslurm's version, the whole queue); SchedulerSilent when the child failed or printed something else."""
    words = said(answer) or f"its process ended with status {answer.code}"
    if answer.code == NO_PYSLURM:
        raise SchedulerSilent(f"pyslurm can't be imported ({words}): it must be built for this site's Slurm")
    if answer.code:
        raise SchedulerSilent(f"pyslurm does not read this Slurm ({words})")
    try:
        found = json.loads(answer.out)
        return str(found["pyslurm"]) or "of unknown version", [_row(job) for job in found["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SchedulerSilent(f"pyslurm's answer can't be read ({error})") from None


def _row(job: dict[str, Any]) -> Row:
    raw = str(job["id"])
    task = job["task"]
    return Row(
        job=str(job["array_id"] or raw),
        raw=raw,
        tasks=str(task) if task is not None else str(job["tasks_waiting"] or ""),
        word=str(job["state"] or ""),
        user=str(job["user"] or ""),
        qos=str(job["qos"] or ""),
        reason=str(job["reason"] or ""),
        nodes=str(job["nodes"] or ""),
        node_count=int(job["node_count"] or 0),
        gpus=int(job["gpus"] or 0),
        submitted_at=float(job["submitted"]) if job["submitted"] else None,
        start=float(job["start"]) if job["start"] else None,
        restarts=int(job["restarts"] or 0),
        exit_code=f"{job['exit_code'] or 0}:{job['exit_signal'] or 0}",
        name=str(job["name"] or ""),
    )
