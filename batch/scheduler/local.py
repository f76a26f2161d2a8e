"""The Scheduler port without Slurm: the same scripts as child processes of this host, started through submitit.

The queue is a folder (local_jobs), so a kill -9 of the service between any two lines loses nothing: its jobs go on, and
the next look at the queue starts what may start. submitit's LocalJob is not asked how a job is: rebuilt after a restart
it calls every job done.

Two lanes, each first come, first served, each with `local_slots` nodes: scripts that ask for GPUs, and the light ones
(caching, the Gauntlet), which on a cluster share a node's spare cores.
"""

import contextlib
import fcntl
import getpass
import os
import shlex
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from submitit import LocalExecutor, LocalJob

from batch.scheduler.commands import SERVICE_ONLY
from batch.scheduler.local_jobs import Job, Task, jobs_in, write_job
from batch.scheduler.local_processes import alive, marked, send
from batch.scheduler.rows import Row, sighting
from batch.scheduler.sbatch_header import Header, read_header
from batch.scheduler.slurm_states import state_of
from lifecycle.errors import SchedulerSilent, SubmissionRefused
from lifecycle.jobs import Forecast, JobState, Snapshot
from lifecycle.ports import Clock, Script
from lifecycle.sections.cluster import Cluster

SUPERVISOR = Path(__file__).with_name("local_supervisor.py")

USER = getpass.getuser()

_launched: list[LocalJob] = []
"""submitit's short-lived processes, kept until they were waited for."""


class LocalScheduler:
    """`kill_wait_s` is the time between SIGTERM and SIGKILL, Slurm's KillWait."""

    name = "local"

    def __init__(self, cluster: Cluster, folder: Path, clock: Clock, kill_wait_s: float = 30):
        self._slots = cluster.local_slots
        self._per_node = max((gpu.per_node for gpu in cluster.gpus.values()), default=0)
        self._folder = Path(folder).absolute()
        self._clock = clock
        self._kill_wait_s = kill_wait_s
        self._over: dict[int, list[Row]] = {}  # the ended never change; don't read them at every tick

    def capacity(self) -> int | None:
        """Of the nodes that we pretend to have; None: the settings name no GPU."""
        return self._slots * self._per_node if self._per_node else None

    def submit(self, script: Script) -> str:
        """Queue the script, and start it at once when there is room. SubmissionRefused, SchedulerSilent (disk full)."""
        text, header = self._read(script)
        facts = {
            "submitted_at": self._clock(),
            "submit_folder": str(Path.cwd()),
            "kill_wait_s": self._kill_wait_s,
            "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "secrets": SERVICE_ONLY,
        }
        try:
            with self._alone():
                handle = str(write_job(self._folder, text, header, **facts))
                self._start_what_fits()
        except OSError as error:
            raise SchedulerSilent(f"The job could not be written down: {error}.", "Is the disk full?") from None
        return handle

    def find(self, keys: Collection[str]) -> dict[str, str]:
        """By the name in the header; the newest of several."""
        return {job.header.name: str(job.id) for job in jobs_in(self._folder) if job.header.name in keys}

    def snapshot(self, handles: Collection[str]) -> Snapshot:
        """Looks, and starts what may start."""
        now, asked, jobs = self._clock(), frozenset(handles), {}
        try:
            with self._alone():
                self._start_what_fits()
            for job in jobs_in(self._folder):
                rows = self._rows(job)
                seen = sighting(rows)
                if not seen.state.ended or seen.handle in asked:
                    jobs[seen.handle] = seen
                for row in rows:
                    if row.tasks and (handle := f"{row.job}_{row.tasks}") in asked:
                        jobs[handle] = sighting([row._replace(tasks="")], handle)
        except OSError as error:
            return Snapshot(now, False, {}, f"The folder of local jobs can't be read: {error}.", asked)
        return Snapshot(now, True, jobs, asked=asked)

    def forecast(self, script: Script) -> Forecast:
        """Now, and nobody is evicted."""
        try:
            self._read(script)
        except SubmissionRefused as refusal:
            return Forecast(starts_at=None, note=refusal.advice)
        return Forecast(starts_at=self._clock())

    def cancel(self, handle: str, *, gently: bool = False) -> None:
        """Write the wish down, tell the supervisor: TERM to the process group, KILL after `kill_wait_s`. Idempotent."""
        master, _, index = handle.partition("_")
        for job in jobs_in(self._folder):
            if str(job.id) == master:
                for task in job.tasks:
                    if not index or str(task.index) == index:
                        self._cancel(task)

    def hurry(self, handle: str) -> None:
        """Nothing is requeued here, so nothing pauses."""

    def tell(self, handle: str, message: str) -> None:
        """Nobody else's jobs are here."""

    def _read(self, script: Script) -> tuple[str, Header]:
        try:
            text = script.path.read_text()
        except OSError as error:
            raise SubmissionRefused(f"{script.path} can't be read: {error.strerror}.", "Look at that path.") from None
        header = read_header(text, script.path.name)
        if header.nodes > self._slots:
            raise SubmissionRefused(
                f"The script asks for {header.nodes} nodes, and there are only {self._slots}.",
                "Ask for fewer nodes, or raise cluster.local_slots.",
            )
        return text, header

    def _cancel(self, task: Task) -> None:
        if task.has("ended"):
            return
        if not task.has("cancelled"):
            task.mark("cancelled")
        started = task.read("started")
        if started is not None and alive(started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(started["pid"], signal.SIGTERM)

    def _start_what_fits(self) -> None:
        """In order, until the first that doesn't fit: then its lane waits, else a large job would wait for ever."""
        _launched[:] = [job for job in _launched if not job.done()]
        free = {True: self._slots, False: self._slots}
        closed = set()
        for job in jobs_in(self._folder):
            if job.id in self._over:
                continue
            header, lane = job.header, job.header.gpus > 0
            words = {task: "RUNNING" if task.launching else task.word for task in job.tasks}
            running = sum(word == "RUNNING" for word in words.values())
            free[lane] -= running * header.nodes
            for task, word in words.items():
                if word == "NODE_FAIL":
                    self._bury(task)
                if word != "PENDING" or lane in closed:
                    continue
                if header.at_once is not None and running >= header.at_once:
                    break
                if free[lane] < header.nodes:
                    closed.add(lane)
                    break
                self._launch(job, task)
                running += 1
                free[lane] -= header.nodes

    def _launch(self, job: Job, task: Task) -> None:
        """Through submitit, which starts the supervisor and ends with its first breath."""
        task.mark("launched")
        executor = LocalExecutor(folder=task.folder / "submitit")
        executor.update_parameters(timeout_min=5)  # of the start, not of the job
        argv = [sys.executable, str(SUPERVISOR), str(job.folder), str(task.folder)]
        _launched.append(executor._submit_command(shlex.join(argv)))

    def _bury(self, task: Task) -> None:
        """Its supervisor died without a word (kill -9, a reboot): end what it left, so that its slots are free."""
        send(marked(f"DAYZERO_LOCAL_TASK={task.folder}"), signal.SIGKILL)
        started = task.read("started")
        if task.has("ended") or started is None or alive(started):
            return
        task.mark("ended", word="NODE_FAIL", exit_code="", note="Its supervisor was killed, or this host restarted.")

    def _rows(self, job: Job) -> list[Row]:
        if job.id in self._over:
            return self._over[job.id]
        rows = [_row(job, task) for task in job.tasks]
        if all(row.state.ended for row in rows):
            self._over[job.id] = rows
        return rows

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts jobs; the kernel frees the lock however its holder dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _row(job: Job, task: Task) -> Row:
    word = task.word
    waiting = state_of(word) is JobState.QUEUED
    started, ended = task.read("started") or {}, task.read("ended") or {}
    return Row(
        job=str(job.id),
        raw=str(job.id),
        tasks="" if task.index is None else str(task.index),
        word=word,
        user=USER,
        qos=job.header.qos,
        reason="Resources" if waiting else "",
        nodes="" if waiting else "localhost",
        node_count=job.header.nodes,
        gpus=job.header.gpus * job.header.nodes,
        submitted_at=job.facts["submitted_at"],
        start=started.get("at"),
        restarts=0,
        exit_code=ended.get("exit_code", ""),
        name=job.header.name,
    )
