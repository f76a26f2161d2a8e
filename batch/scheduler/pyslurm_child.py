"""Reads the queue with pyslurm and prints it as JSON: a program of its own, that may hang or die alone.

pyslurm holds the interpreter's lock while it waits for slurmctld, and ends the whole interpreter when slurm.conf is
missing; so it is never imported by the service. Nothing but it and the standard library is imported here, and any
Python from 3.6 on runs it: pyslurm often belongs to another Python than ours.

    (nothing)     {"pyslurm": version, "jobs": [{...}, ...]}; exit status 3: there is no pyslurm that works here
    cancel JOB    as scancel; a job that has ended or is not known is no error
    requeue JOB   as scontrol requeue
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
        if sys.argv[1:]:
            verb, job = sys.argv[1:]
            {"cancel": pyslurm.Job.cancel, "requeue": pyslurm.Job.requeue}[verb](pyslurm.Job(int(job)))
            return 0
        jobs = [plain(job) for job in pyslurm.Jobs.load(preload_passwd_info=True).values()]
    except Exception as error:  # RPCError's home differs between releases
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    json.dump({"pyslurm": str(getattr(pyslurm, "__version__", "")), "jobs": jobs}, sys.stdout)
    return 0


def plain(job: Any) -> "dict[str, Any]":
    """What we ask of a job."""
    task, waiting = job.array_task_id, job.array_tasks_waiting
    if job.array_id is not None and task is None and not waiting:
        task = 0  # pyslurm takes this index for 'not set'
    return {
        "id": job.id,
        "array_id": job.array_id,
        "task": task,
        "tasks_waiting": waiting,
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
    """Those it has or asks for in all; where the site doesn't track GPUs, what it asks for on each node.

    Not from get_resource_layout_per_node: that reads a structure of libslurm that no header describes.
    """
    totals = {name: int(gpu.count) for name, gpu in (job.gpus or {}).items()}
    if totals:
        return totals.get("gpu") or sum(totals.values())
    return _count(job.gres_per_node) * (job.num_nodes or 0)


def _count(gres: Any) -> int:
    """Of {"gpu:h100": 8} or, since 24.11, {"gres/gpu:h100": 8}."""
    return sum(int(count) for name, count in (gres or {}).items() if name.replace("gres/", "").split(":")[0] == "gpu")


if __name__ == "__main__":
    sys.exit(main())
