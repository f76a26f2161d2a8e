"""The folder in which LocalScheduler keeps its jobs: every fact a file, every file moved into place whole.

    <folder>/jobs/<id>/job.json          the intention: name, header, when, where; the folder appears whole, by a rename
    <folder>/jobs/<id>/script            the script, as it was submitted
    <folder>/jobs/<id>/tasks/<k>/        one for each array index; `only` for a job that is no array
        launched.json                    the service is about to start a supervisor
        started.json                     a supervisor claimed the task: its pid, start time, boot
        cancelled.json                   somebody wants it to end
        ended.json                       how it ended

Ids count up; an array takes as many as it has tasks, as Slurm's do.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from batch.scheduler.local_processes import alive
from batch.scheduler.sbatch_header import Header
from lifecycle.runfolder import write_json

ONLY = "only"

LAUNCH_S = 10
"""A supervisor that has not claimed its task by then died before it could, and another is started. Should it only be
slow, no harm is done: one of them claims the task."""


@dataclass(frozen=True)
class Task:
    """One process-to-be. What its files say is read anew each time it is asked."""

    folder: Path

    @property
    def index(self) -> int | None:
        return None if self.folder.name == ONLY else int(self.folder.name)

    def read(self, what: str) -> dict | None:
        try:
            return json.loads((self.folder / f"{what}.json").read_text())
        except (OSError, ValueError):
            return None

    def has(self, what: str) -> bool:
        return (self.folder / f"{what}.json").exists()

    def mark(self, what: str, **facts: object) -> None:
        write_json(self.folder / f"{what}.json", facts)

    @property
    def word(self) -> str:
        """A state word of Slurm's. The end is read before the start: it can only be written in between."""
        started = self.read("started")
        running = started is not None and alive(started)
        if ended := self.read("ended"):
            return ended["word"]
        if started is not None:
            return "RUNNING" if running else "NODE_FAIL"
        # a supervisor that is on its way will see the wish; until then nothing is over
        return "CANCELLED" if self.has("cancelled") and not self.launching else "PENDING"

    @property
    def launching(self) -> bool:
        """Is a supervisor on its way?"""
        launched = self.read("launched")
        return launched is not None and 0 <= time.time() - launched["at"] < LAUNCH_S and not self.has("started")


@dataclass(frozen=True)
class Job:
    """A submitted script."""

    folder: Path

    @property
    def id(self) -> int:
        return int(self.folder.name)

    @cached_property
    def facts(self) -> dict:
        return json.loads((self.folder / "job.json").read_text())

    @cached_property
    def header(self) -> Header:
        header = dict(self.facts["header"])
        return Header(**header | {"tasks": tuple(header["tasks"]) if header["tasks"] is not None else None})

    @property
    def tasks(self) -> list[Task]:
        names = [ONLY] if self.header.tasks is None else [str(index) for index in self.header.tasks]
        return [Task(self.folder / "tasks" / name) for name in names]


def jobs_in(folder: Path) -> Iterator[Job]:
    """Every job, the oldest first."""
    try:
        names = os.listdir(folder / "jobs")
    except FileNotFoundError:
        return
    yield from (Job(folder / "jobs" / name) for name in sorted(filter(str.isdigit, names), key=int))


def write_job(folder: Path, script: str, header: Header, **facts: object) -> int:
    """Put a new job into the queue and return its id. Killed in between, it leaves no job, only a `.new` folder."""
    jobs = folder / "jobs"
    jobs.mkdir(parents=True, exist_ok=True)
    known = list(jobs_in(folder))
    id = known[-1].id + max(1, len(known[-1].tasks)) if known else 1
    new = jobs / f".new-{id}"
    shutil.rmtree(new, ignore_errors=True)
    names = [ONLY] if header.tasks is None else [str(index) for index in header.tasks]
    for name in names:
        (new / "tasks" / name).mkdir(parents=True)
    (new / "script").write_text(script)
    (new / "script").chmod(0o755)
    write_json(new / "job.json", {"id": id, "header": asdict(header), **facts})
    new.rename(jobs / str(id))
    return id
