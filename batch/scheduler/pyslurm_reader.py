"""The queue by pyslurm, in a child process with a time limit. It works only with the Slurm it was built for.

Probed before it is used: what it says then is why the text is read instead.
"""

import json
import sys
from pathlib import Path
from typing import Any

from batch.scheduler.commands import Answer, Run, said
from batch.scheduler.pyslurm_child import NO_PYSLURM
from batch.scheduler.rows import Row
from lifecycle.errors import SchedulerSilent

CHILD = Path(__file__).with_name("pyslurm_child.py")
PROBE_S = 20.0


def argv() -> list[str]:
    return [sys.executable, "-I", str(CHILD)]


def probe(run: Run) -> tuple[str, str]:
    """(version, "") when pyslurm reads this Slurm; ("", why not) otherwise. Never raises."""
    try:
        answer = run(argv(), PROBE_S)
    except SchedulerSilent as silence:
        return "", f"pyslurm gave no answer within {PROBE_S:g} s ({silence})"
    if answer.code == NO_PYSLURM:
        return "", f"pyslurm can't be imported ({said(answer)}): it must be built for this site's Slurm"
    if answer.code:
        return "", f"pyslurm does not read this Slurm ({said(answer) or f'it ended with status {answer.code}'})"
    try:
        return str(json.loads(answer.out)["pyslurm"]) or "of unknown version", ""
    except (ValueError, KeyError, TypeError):
        return "", "pyslurm's child printed no JSON"


def read(answer: Answer) -> list[Row]:
    """The whole queue; SchedulerSilent when the child failed or printed something else."""
    if answer.code:
        words = said(answer) or f"it ended with status {answer.code}"
        raise SchedulerSilent(
            f"pyslurm failed: {words}.", "It is asked again; cluster.reader = 'text' does without it."
        )
    try:
        return [_row(job) for job in json.loads(answer.out)["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SchedulerSilent(f"pyslurm's answer can't be read: {error}.", "Set cluster.reader = 'text'.") from None


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
