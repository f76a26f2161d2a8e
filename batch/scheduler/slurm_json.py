"""squeue and sacct in JSON, data_parser v0.0.42: Slurm 24.11 to 26.05. Pure.

Ten times as slow as the text and as large, but it names its fields: the way out where a release refuses one of ours.
22.05's JSON is another, cannot be given a version and ignores every filter: it is not read.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any

from batch.scheduler.rows import Row
from batch.scheduler.sacct_text import BY_NAME_SINCE, newest
from batch.scheduler.slurm_text import gpus_of

SHAPE = "v0.0.42"

TOLD_LATER = 4_294_967_294
"""NO_VAL: slurm's way to write 'not known' into an unsigned number."""


def squeue_json_argv(names: Collection[str] = ()) -> list[str]:
    argv = ["squeue", "--all", "--states=all", f"--json={SHAPE}"]
    return [*argv, f"--name={','.join(sorted(names))}"] if names else argv


def sacct_json_argv(jobs: Collection[str] = (), names: Collection[str] = ()) -> list[str]:
    argv = ["sacct", "--allusers", "--allocations", f"--json={SHAPE}"]
    if names:
        return [*argv, f"--name={','.join(sorted(names))}", f"--starttime={BY_NAME_SINCE}", "--endtime=now"]
    return [*argv, "--duplicates", f"--jobs={','.join(sorted(jobs))}"]


def read_squeue_json(text: str) -> list[Row]:
    """The records in order; ValueError when it isn't that JSON."""
    return [_queued(job) for job in _jobs(text)]


def read_sacct_json(text: str) -> list[Row]:
    """The newest row of each job or array task; ValueError when it isn't that JSON."""
    rows = [_past(job) for job in _jobs(text)]
    return newest((f"{row.job}_{row.tasks}" if row.tasks else row.job, row) for row in rows)


def _jobs(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("jobs"), list):
        raise ValueError("no list of jobs")
    return [job for job in found["jobs"] if isinstance(job, dict) and _number(job.get("job_id"))]


def _queued(job: dict[str, Any]) -> Row:
    raw, nodes = int(job["job_id"]), int(_number(job.get("node_count")) or 0)
    task = _number(job.get("array_task_id"))
    gpus = gpus_of(job.get("tres_alloc_str") or job.get("tres_req_str") or "") or gpus_of(job.get("tres_per_job") or "")
    return Row(
        job=str(int(_number(job.get("array_job_id")) or raw)),
        raw=str(raw),
        tasks=str(int(task)) if task is not None else str(job.get("array_task_string") or ""),
        word=_word(job.get("job_state")),
        user=str(job.get("user_name") or ""),
        qos=str(job.get("qos") or ""),
        reason=str(job.get("state_reason") or ""),
        nodes=str(job.get("nodes") or ""),
        node_count=nodes,
        gpus=gpus or gpus_of(job.get("tres_per_node") or "") * nodes,
        submitted_at=_number(job.get("submit_time")) or None,
        start=_number(job.get("start_time")) or None,
        restarts=int(_number(job.get("restart_cnt")) or 0),
        exit_code=_exit_code(job.get("exit_code")),
        name=str(job.get("name") or ""),
    )


def _past(job: dict[str, Any]) -> Row:
    raw, array, time = int(job["job_id"]), job.get("array") or {}, job.get("time") or {}
    task = _number(array.get("task_id"))
    tres = job.get("tres") or {}
    return Row(
        job=str(int(_number(array.get("job_id")) or raw)),
        raw=str(raw),
        tasks=str(int(task)) if task is not None else _tasks(str(array.get("task") or "")),
        word=_word((job.get("state") or {}).get("current")),
        user=str((job.get("association") or {}).get("user") or job.get("user") or ""),
        qos=str(job.get("qos") or ""),
        reason="",
        nodes=str(job.get("nodes") or ""),
        node_count=int(_number(job.get("allocation_nodes")) or 0),
        gpus=_gpus(tres.get("allocated")) or _gpus(tres.get("requested")),
        submitted_at=_number(time.get("submission")) or None,
        start=_number(time.get("start")) or None,
        restarts=0,
        exit_code=_exit_code(job.get("exit_code")),
        name=str(job.get("name") or ""),
    )


def _number(value: Any) -> float | None:
    """5 out of 5 or {"set": true, "infinite": false, "number": 5}; None: not set, infinite, or not known."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    return float(value) if isinstance(value, int | float) and value < TOLD_LATER else None


def _word(states: Any) -> str:
    """Of ["RUNNING", "COMPLETING"] the flag, as the text shows it."""
    if isinstance(states, str):
        return states
    return str(states[-1]) if isinstance(states, list) and states else ""


def _exit_code(code: Any) -> str:
    if not isinstance(code, dict):
        return ""
    signal = _number((code.get("signal") or {}).get("id"))
    return f"{int(_number(code.get('return_code')) or 0)}:{int(signal or 0)}"


def _gpus(tres: Iterable[dict[str, Any]] | None) -> int:
    counts = [
        int(one.get("count") or 0) for one in tres or () if one.get("type") == "gres" and one.get("name") == "gpu"
    ]
    return max(0, sum(counts))


def _tasks(text: str) -> str:
    """'0,3-4' out of sacct's bit map '0x19', or what is an expression already."""
    if not text.startswith("0x"):
        return text
    bits = int(text, 16)
    return ",".join(str(n) for n in range(bits.bit_length()) if bits >> n & 1)
