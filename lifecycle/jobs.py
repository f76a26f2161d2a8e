"""What the scheduler knows about jobs, as frozen values.

UNKNOWN is 'no answer'; GONE is 'Slurm answered: no such job'. They are different facts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class JobState(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  # includes timed out, node failure, out of memory, preempted without requeue
    CANCELLED = "CANCELLED"  # by a person; never resubmitted by us
    SUSPENDED = "SUSPENDED"
    GONE = "GONE"
    UNKNOWN = "UNKNOWN"

    @property
    def ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.GONE)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One job as the scheduler showed it. Times are epoch seconds UTC. `word` is the scheduler's own state word."""

    handle: str  # job id; an array's master id
    name: str
    state: JobState
    word: str = ""
    user: str = ""
    qos: str = ""
    reason: str = ""  # why it waits, in the scheduler's word
    nodes: tuple[str, ...] = ()
    node_count: int = 0
    gpus: int = 0
    submitted_at: float | None = None
    started_at: float | None = None
    expected_start: float | None = None
    restarts: int = 0
    exit_code: str = ""
    tasks: Mapping[int, JobState] = field(default_factory=dict)  # of an array, by index; state above sums them up


@dataclass(frozen=True)
class Snapshot:
    """One answer for all jobs. `ok` False: the scheduler was silent; then every look-up says UNKNOWN.

    `jobs` holds the whole queue (ours and everybody's) and, of the jobs asked for, those that ended recently.
    """

    taken_at: float
    ok: bool
    jobs: Mapping[str, Sighting]
    silence: str = ""  # why there was no answer
    asked: frozenset[str] = frozenset()  # what the question was about: only of these is absence an answer

    def place(self, handle: str) -> tuple[int, int] | None:
        """(its place, of how many) among the jobs that wait for GPUs: by when the scheduler expects each to start,
        else by when it was submitted. None: it doesn't wait.
        """
        waiting = [job for job in self.jobs.values() if job.state is JobState.QUEUED and job.gpus]
        waiting.sort(key=lambda job: (job.expected_start or math.inf, job.submitted_at or math.inf, job.handle))
        order = [job.handle for job in waiting]
        return (order.index(handle) + 1, len(order)) if handle in order else None

    def look(self, handle: str) -> Sighting:
        seen = self.jobs.get(handle)
        if seen is not None:
            return seen
        state = JobState.GONE if self.ok and handle in self.asked else JobState.UNKNOWN
        return Sighting(handle=handle, name="", state=state)


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A job that would be preempted, with what its owner stands to lose."""

    handle: str
    name: str
    user: str
    node_count: int
    gpus: int
    ran_s: float
    restarts: int = 0
    partition: str = ""  # where it runs; known only where a guard rail asks for it

    @property
    def gpu_hours(self) -> float:
        return self.gpus * self.ran_s / 3600


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The scheduler's word on a submission that has not happened: when it would start (or None), whom it evicts."""

    starts_at: float | None
    victims: tuple[Victim, ...] = ()
    note: str = ""  # e.g. why there is no forecast
