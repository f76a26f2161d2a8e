"""The Scheduler port over Slurm's commands: submission through submitit, all else as argv lists."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from batch.scheduler import commands, sinfo_text
from batch.scheduler.commands import Run, said
from batch.scheduler.forecast_text import is_not_now, read_forecast
from batch.scheduler.readers import Reader
from batch.scheduler.refusals import SILENT, next_step, refusal
from batch.scheduler.rows import Row, sighting
from batch.scheduler.slurm_text import nodes_of
from lifecycle.errors import Refused, SchedulerSilent, SubmissionRefused
from lifecycle.jobs import Forecast, JobState, Sighting, Snapshot, Victim
from lifecycle.ports import Clock, Script
from lifecycle.sections.cluster import Cluster

GRACE_S = 60
"""A job that is in neither squeue nor sacct is UNKNOWN this long, then GONE. slurmctld remembers an ended job for the
site's MinJobAge (300 s as delivered) and squeue shows it; where that is short, a job may be forgotten before slurmdbd
has it."""

NOTICE_LENGTH = 500


class SlurmScheduler:
    """`folder` keeps submitit's copies of what was submitted; `run` is how commands are run (tests count them)."""

    name = "slurm"

    def __init__(self, cluster: Cluster, folder: Path, clock: Clock, run: Run = commands.run):
        self._timeout_s = cluster.command_timeout_s
        self._folder = Path(folder)
        self._clock = clock
        self._run = run
        self.reader = Reader(run, cluster.command_timeout_s, cluster.reader, cluster.pyslurm_python)
        self._guarded = bool(cluster.guards.never)
        self._unseen: dict[str, float] = {}
        self._kept: dict[str, tuple[Row | None, Sighting]] = {}
        self._lock = threading.Lock()

    def submit(self, script: Script) -> str:
        """sbatch the file as it is; the environment is the service's, without its secrets."""
        from batch.scheduler.template_executor import TemplateExecutor  # costs 0.3 s and isn't needed to look

        try:
            executor = TemplateExecutor(self._folder, script.path, timeout_s=self._timeout_s)
        except RuntimeError as error:
            raise SubmissionRefused(f"Slurm can't be reached from this host: {error}", next_step("srun")) from None
        return executor.submit_template()

    def find(self, keys: Collection[str]) -> dict[str, str]:
        """Live jobs first, then the newest; sacct is asked only for names that slurmctld no longer knows."""
        if not keys:
            return {}
        found = _by_name(self.reader.squeue(keys), keys)
        if missing := set(keys) - set(found):
            found |= _by_name(self.reader.sacct(names=missing), missing)
        return found

    def snapshot(self, handles: Collection[str]) -> Snapshot:
        """One squeue; one sacct when a handle is not in its answer or is an array (its ended tasks may be gone)."""
        now = self._clock()
        asked = {handle for handle in handles if handle.replace("_", "", 1).isdigit()}
        try:
            rows = self.reader.squeue()
        except SchedulerSilent as silence:
            return Snapshot(now, False, {}, str(silence), frozenset(handles))
        queue = _by_job(rows)
        masters = {handle.partition("_")[0] for handle in asked}
        arrays = {job for job in masters & queue.keys() if any(row.tasks for row in queue[job])}
        silent = ""
        if lookup := (masters - queue.keys()) | arrays:
            try:
                self._add_history(queue, self.reader.sacct(jobs=lookup))
            except SchedulerSilent as silence:
                silent = str(silence)
        sightings = self._sightings(queue)
        jobs = {job: seen for job, seen in sightings.items() if not seen.state.ended or job in masters}
        jobs |= self._tasks(queue, asked)
        jobs |= self._not_gone_yet(asked - jobs.keys(), now, silent)
        return Snapshot(now, True, jobs, asked=frozenset(handles))

    def forecast(self, script: Script) -> Forecast:
        """What `sbatch --test-only` says; SchedulerSilent on silence. A refusal is only noted, the submission decides:
        where the site doesn't enforce its partitions' limits, sbatch takes jobs that --test-only calls impossible.
        """
        answer = self._run(["sbatch", "--test-only", str(script.path)], self._timeout_s)
        if answer.code:
            sentence = said(answer)
            if is_not_now(sentence):
                return Forecast(starts_at=None, note=f"Slurm can't say when it starts: {sentence.rstrip('.')}.")
            if isinstance(error := refusal(sentence), SchedulerSilent):
                raise error
            return Forecast(starts_at=None, note=error.advice)
        starts_at, ids = read_forecast(answer.err + answer.out)
        note = "" if starts_at else "Slurm named no start time."
        return Forecast(starts_at=starts_at, victims=self._victims(ids) if ids else (), note=note)

    def cancel(self, handle: str, *, gently: bool = False) -> None:
        """Plain scancel: a waiting job is gone at once. Every process of a running one, batch script and steps, gets
        SIGTERM and, if it still lives after the site's KillWait (30 s as delivered), SIGKILL: so it ends for certain.

        That SIGTERM reaches the engines too, and cuts the requests that run. `gently` only the batch script hears it:
        our launcher drains, then exits; a script that ignores it would hold its GPUs for ever.
        """
        if not gently and self.reader.act("cancel", handle):
            return
        argv = ["scancel", "--batch", "--signal=TERM", handle] if gently else ["scancel", handle]
        answer = self._run(argv, self._timeout_s)
        sentence = said(answer)
        if not answer.code or "Invalid job id" in sentence or "already comp" in sentence:
            return
        if any(words in sentence for words in SILENT):
            raise SchedulerSilent(f"scancel of job {handle} was not heard: {sentence}.")
        raise Refused(f"Slurm doesn't let us cancel job {handle}: {sentence}.", "Its owner or an administrator can.")

    def hurry(self, handle: str) -> None:
        """Slurm lets a requeued job wait two minutes (EligibleTime), so that its old node can forget it."""
        with contextlib.suppress(SchedulerSilent):
            self._run(["scontrol", "update", f"JobId={handle}", "StartTime=now"], self._timeout_s)

    def capacity(self) -> int | None:
        """GPUs of the nodes that are not down, by sinfo; None: it gave no answer."""
        try:
            answer = self._run(["sinfo", "-h", "-N", "-o", sinfo_text.FORMAT], self._timeout_s)
        except SchedulerSilent:
            return None
        return None if answer.code else sinfo_text.gpus_of(answer.out)

    def tell(self, handle: str, message: str) -> None:
        """The admin comment where we are operators, else the comment of a job of ours, else nothing."""
        notice = " ".join(message.split())[:NOTICE_LENGTH]
        for field in ("AdminComment", "Comment"):
            try:
                if not self._run(["scontrol", "update", f"JobId={handle}", f"{field}={notice}"], self._timeout_s).code:
                    return
            except SchedulerSilent:
                return

    def _sightings(self, queue: dict[str, list[Row]]) -> dict[str, Sighting]:
        """Of each job; that of a row which the reader kept from the last time is kept, too."""
        before, kept, found = self._kept, {}, {}
        for job, rows in queue.items():
            row, seen = before.get(job, (None, None))
            if len(rows) > 1 or row is not rows[0]:
                seen = sighting(rows)
            found[job] = seen
            kept[job] = (rows[0] if len(rows) == 1 else None, seen)
        self._kept = kept
        return found

    def _add_history(self, queue: dict[str, list[Row]], history: Iterable[Row]) -> None:
        """Add what ended; what sacct calls alive and squeue doesn't know is stale (or about to come back)."""
        for job, rows in _by_job(history).items():
            known = {number for row in queue.get(job, ()) for number in row.numbers}
            ended = [row for row in rows if row.state.ended and not (row.tasks and known.intersection(row.numbers))]
            if ended and (job in queue or len(ended) == len(rows)):
                queue.setdefault(job, []).extend(ended)

    def _partitions(self) -> dict[str, str]:
        """Slurm's own id → partition of what runs. A rail depends on it: silence is an error, not an empty answer."""
        answer = self._run(["squeue", "-h", "-t", "R,S", "-o", "%A %P"], self._timeout_s)
        if answer.code:
            raise SchedulerSilent(f"squeue doesn't say in which partitions the victims run: {said(answer)}.")
        return dict(line.split(None, 1) for line in answer.out.splitlines() if " " in line.strip())

    def _tasks(self, queue: dict[str, list[Row]], asked: Collection[str]) -> dict[str, Sighting]:
        """Single array tasks that were asked for as '<master>_<index>'."""
        found = {}
        for handle in asked:
            job, _, index = handle.partition("_")
            if index:
                rows = [row for row in queue.get(job, ()) if int(index) in row.numbers]
                if rows:
                    found[handle] = sighting([rows[0]._replace(tasks="")], handle)
        return found

    def _not_gone_yet(self, missing: Collection[str], now: float, silent: str) -> dict[str, Sighting]:
        """UNKNOWN for handles that nobody knows, until GRACE_S have passed; for ever while sacct is silent."""
        with self._lock:
            self._unseen = {handle: self._unseen.get(handle, now) for handle in missing}
            return {
                handle: Sighting(handle=handle, name="", state=JobState.UNKNOWN, reason=silent)
                for handle, since in self._unseen.items()
                if silent or now - since < GRACE_S
            }

    def _victims(self, ids: Collection[str]) -> tuple[Victim, ...]:
        """The jobs behind Slurm's ids; a task of an array is named '<master>_<index>', as people and commands do."""
        now = self._clock()
        known = {row.raw: row for row in self.reader.squeue()}
        partitions = self._partitions() if self._guarded else {}
        found = []
        for id in ids:
            row = known.get(id)
            if row is None:
                where = partitions.get(id, "")
                found.append(Victim(handle=id, name="", user="", node_count=0, gpus=0, ran_s=0, partition=where))
                continue
            handle = f"{row.job}_{row.tasks}" if row.tasks.isdigit() else row.job
            ran_s = max(0.0, now - row.start) if row.start else 0.0
            size = {"node_count": row.node_count, "gpus": row.gpus, "restarts": row.restarts}
            where = partitions.get(id, "")
            found.append(Victim(handle=handle, name=row.name, user=row.user, ran_s=ran_s, partition=where, **size))
        return tuple(found)


def _by_job(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.job].append(row)
    return dict(grouped)


def _by_name(rows: Iterable[Row], keys: Collection[str]) -> dict[str, str]:
    """The last of these wins: ended before living, older before newer.

    A failed job that never had a node is what is left of a submission that was refused (22.05 keeps 'Node count
    specification invalid' as a job): nothing was submitted under that name.
    """
    real = (row for row in rows if row.name in keys and (row.word != "FAILED" or nodes_of(row.nodes)))
    ordered = sorted(real, key=lambda row: (not row.state.ended, int(row.job)))
    return {row.name: row.job for row in ordered}
