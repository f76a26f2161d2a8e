"""Reads the queue with pyslurm and prints it as JSON: a program of its own, run by path, that may hang or die alone.

pyslurm holds the interpreter's lock while it waits for slurmctld, and ends the whole interpreter when slurm.conf is
missing; so it is never imported by the service. Nothing but it and the standard library is imported here.

    pyslurm_child.py    {"pyslurm": version, "jobs": [{...}, ...]}; exit status 3: there is no pyslurm that works here
"""

import json
import sys
from typing import Any

NO_PYSLURM = 3


def main() -> int:
    try:
        import pyslurm
    except ImportError as error:
        print(f"{error}", file=sys.stderr)
        return NO_PYSLURM
    try:
        jobs = pyslurm.Jobs.load(preload_passwd_info=True)
    except Exception as error:  # RPCError's home differs between releases
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    json.dump(
        {"pyslurm": str(getattr(pyslurm, "__version__", "")), "jobs": list(map(plain, jobs.values()))}, sys.stdout
    )
    return 0


def plain(job: Any) -> dict[str, Any]:
    """What we ask of a job. GPUs: those it has, else those it asked for."""
    return {
        "id": job.id,
        "array_id": job.array_id,
        "task": job.array_task_id,
        "tasks_waiting": job.array_tasks_waiting,
        "state": job.state,
        "user": job.user_name,
        "qos": job.qos,
        "reason": job.state_reason,
        "nodes": job.allocated_nodes,
        "node_count": job.num_nodes,
        "gpus": gpus(job),
        "submitted": job.submit_time,
        "start": job.start_time,
        "restarts": job.requeue_count,
        "exit_code": job.exit_code,
        "exit_signal": job.exit_code_signal,
        "name": job.name,
    }


def gpus(job: Any) -> int:
    layout = job.get_resource_layout_per_node()
    if layout:
        return sum(_count(node.get("gres")) for node in layout.values())
    return _count(job.gres_per_node) * (job.num_nodes or 0)


def _count(gres: Any) -> int:
    """Of {"gpu:h100": {"count": 8, "indexes": "0-7"}} or {"gpu:h100": 8}."""
    found = [value for name, value in (gres or {}).items() if name.split(":")[0] == "gpu"]
    return sum(int(value["count"] if isinstance(value, dict) else value) for value in found)


if __name__ == "__main__":
    sys.exit(main())
