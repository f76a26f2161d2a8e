"""sacct: the fate of jobs that left the queue, and of names that were submitted. Pure.

`-D` shows one row for each time that a job ran; the newest counts, the others are its restarts (22.05 has no field for
them). Without `-X` each step would have a row. The delimiter carries a random mark: see squeue_text.
"""

from collections.abc import Collection, Iterable

from batch.scheduler.rows import Row
from batch.scheduler.slurm_text import gpus_of, time_of

FIELDS = "JobID JobIDRaw State ExitCode User QOS Submit Start NNodes AllocTRES ReqTRES NodeList JobName".split()

BY_NAME_SINCE = "now-7days"
"""How far back a name is looked for; without it sacct only knows today."""

SPELLED = ["sacct", "--noheader", "--parsable2", "--allocations", "--allusers"]

NO_ACCOUNTING = ("accounting storage is disabled", "AccountingStorageType")
"""What sacct says at a site that keeps no accounts: an answer without rows, not a silence."""


def sacct_argv(mark: str, jobs: Collection[str] = (), names: Collection[str] = ()) -> list[str]:
    """The call for these job ids, or for the jobs of these names."""
    argv = [*SPELLED, f"--delimiter=\x1f{mark}", f"--format={','.join(FIELDS)}"]
    if names:
        return [*argv, f"--name={','.join(sorted(names))}", f"--starttime={BY_NAME_SINCE}", "--endtime=now"]
    return [*argv, "--duplicates", f"--jobs={','.join(sorted(jobs))}"]


def read_sacct(text: str, mark: str) -> list[Row]:
    """The newest row of each job or array task; lines that are no record (pieces of a name) are left out."""
    records = (line.split(f"\x1f{mark}") for line in text.split("\n"))
    return newest((f[0], _row(f)) for f in records if len(f) == len(FIELDS) and f[1].isdigit())


def newest(rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """Of the rows of one job (id, row) the newest; the others are its restarts, unless the ids began anew."""
    found: dict[str, Row] = {}
    for id, row in rows:
        before = found.get(id)
        if before is not None and before.name == row.name:
            restarts = before.restarts + 1
            row = (before if (row.submitted_at or 0) < (before.submitted_at or 0) else row)._replace(restarts=restarts)
        elif before is not None and (row.submitted_at or 0) < (before.submitted_at or 0):
            continue  # another job, from before the ids began anew
        found[id] = row
    return list(found.values())


def _row(fields: list[str]) -> Row:
    job, raw, word, exit_code, user, qos, submitted, start, nodes, alloc, requested, node_list, name = fields
    master, _, task = job.partition("_")
    return Row(
        job=master if task else raw,
        raw=raw,
        tasks=task.strip("[]"),
        word=word,
        user=user,
        qos=qos,
        reason="",
        nodes=node_list,
        node_count=int(nodes) if nodes.isdigit() else 0,
        gpus=gpus_of(alloc) or gpus_of(requested),
        submitted_at=time_of(submitted),
        start=time_of(start),
        restarts=0,
        exit_code=exit_code,
        name=name,
    )
