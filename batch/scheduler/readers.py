"""How the queue and the history are read: formatted text (every release), JSON where it is refused, or pyslurm.

Text is the default: at 11,000 jobs it takes 0.2 s where JSON takes 4 to 7. A release that no longer knows one of our
fields fails the whole text call; from then on this process reads JSON, if Slurm is 24.11 or later. pyslurm is used
where the settings ask for it and as long as it answers; the history is read as text then. Where it fails the commands
are asked the same question: if they answer, pyslurm is at fault and this process asks it no more.
"""

import contextlib
import secrets
from collections.abc import Collection, Mapping

from batch.scheduler import pyslurm_reader
from batch.scheduler.commands import Answer, CommandMissing, Run, said
from batch.scheduler.rows import Row
from batch.scheduler.sacct_text import NO_ACCOUNTING, read_sacct, sacct_argv
from batch.scheduler.slurm_json import SHAPE, read_sacct_json, read_squeue_json, sacct_json_argv, squeue_json_argv
from batch.scheduler.squeue_text import NOTHING, read_records, squeue_argv
from lifecycle.errors import SchedulerSilent

REFUSED_FIELD = ("Invalid job format specification", "Invalid field requested", "unrecognized field")
"""What squeue and sacct say of a field that they don't know."""


class Reader:
    """`kind`: auto, text, json or pyslurm (in `python`). `name` is how it reads now. Thread-safe: learns once."""

    def __init__(self, run: Run, timeout_s: float, kind: str = "auto", python: str = ""):
        self._run, self._timeout_s, self._kind, self._python = run, timeout_s, kind, python
        self.json = kind == "json"
        self._records: Mapping[str, Row] = NOTHING  # of the last look at the whole queue
        self._pyslurm = ""  # its version, once it has answered
        self._why_not = "" if kind == "pyslurm" else "it isn't asked for"

    @property
    def name(self) -> str:
        plain = f"JSON {SHAPE}" if self.json else "formatted text"
        if self._kind != "pyslurm":
            return plain
        if not self._why_not and not self._pyslurm:
            with contextlib.suppress(SchedulerSilent):
                self.squeue()
        if self._pyslurm and not self._why_not:
            return f"pyslurm {self._pyslurm} in a process of its own"
        return f"{plain}, because {self._why_not or 'nothing answers'}"

    def squeue(self, names: Collection[str] = ()) -> list[Row]:
        """The whole queue, or the jobs of these names; SchedulerSilent."""
        if self._why_not:
            return self._squeue(names)
        try:
            self._pyslurm, rows = pyslurm_reader.read(self._run(pyslurm_reader.argv(self._python), self._timeout_s))
        except SchedulerSilent as silence:
            rows = self._squeue(names)
            self._why_not = str(silence)  # the commands answered: it isn't slurmctld
            return rows
        return [row for row in rows if not names or row.name in names]

    def act(self, verb: str, handle: str) -> bool:
        """Let pyslurm `cancel` or `requeue` a whole job; False: not done by it, the commands are to be asked."""
        if self._why_not or not handle.isdigit():
            return False
        try:
            return not self._run(pyslurm_reader.argv(self._python, verb, handle), self._timeout_s).code
        except SchedulerSilent:
            return False

    def _squeue(self, names: Collection[str]) -> list[Row]:
        mark = secrets.token_hex(6)
        answer = self._ask(squeue_argv(mark, names), squeue_json_argv(names))
        if answer.code:
            raise SchedulerSilent(f"squeue failed: {said(answer)}.", "It is asked again.")
        if self.json:
            return self._json(read_squeue_json, answer)
        records = read_records(answer.out, mark, self._records)
        if not names:
            self._records = records
        return list(records.values())

    def sacct(self, jobs: Collection[str] = (), names: Collection[str] = ()) -> list[Row]:
        """No rows where the site keeps no accounts; SchedulerSilent when slurmdbd doesn't answer."""
        mark = secrets.token_hex(6)
        try:
            answer = self._ask(sacct_argv(mark, jobs, names), sacct_json_argv(jobs, names))
        except CommandMissing:
            return []
        if answer.code:
            if any(words in answer.err for words in NO_ACCOUNTING):
                return []
            raise SchedulerSilent(f"sacct failed: {said(answer)}.", "Is slurmdbd up?")
        return self._json(read_sacct_json, answer) if self.json else read_sacct(answer.out, mark)

    def _ask(self, text: list[str], json: list[str]) -> Answer:
        if not self.json:
            answer = self._run(text, self._timeout_s)
            refused = answer.code and any(words in answer.err for words in REFUSED_FIELD)
            if self._kind != "auto" or not refused:
                return answer
            other = self._run(json, self._timeout_s)
            if other.code:
                return answer  # an older Slurm: the first complaint says more
            self.json = True
            return other
        return self._run(json, self._timeout_s)

    def _json(self, read, answer: Answer) -> list[Row]:
        try:
            return read(answer.out)
        except ValueError as error:
            raise SchedulerSilent(f"Slurm's JSON can't be read: {error}.", "Set cluster.reader = 'text'.") from None
