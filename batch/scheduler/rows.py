"""One line of squeue or sacct as a value, and what the lines of one job add up to."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from batch.scheduler.slurm_states import state_of
from batch.scheduler.slurm_text import nodes_of, tasks_of
from lifecycle.jobs import JobState, Sighting


class Row(NamedTuple):
    """`job` is the id that a person uses (an array's master); `tasks` the array expression ('' when it's no array)."""

    job: str
    raw: str  # Slurm's own id of this very record
    tasks: str
    word: str
    user: str
    qos: str
    reason: str
    nodes: str
    node_count: int
    gpus: int
    submitted_at: float | None
    start: float | None  # began, or is expected to
    restarts: int
    exit_code: str
    name: str

    @property
    def state(self) -> JobState:
        return state_of(self.word)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tasks_of(self.tasks)


WEIGHT = (
    JobState.RUNNING,
    JobState.SUSPENDED,
    JobState.QUEUED,
    JobState.UNKNOWN,
    JobState.CANCELLED,  # before FAILED: who cancels an array doesn't want its failed tasks repeated either
    JobState.FAILED,
    JobState.GONE,
    JobState.SUCCEEDED,
)
"""The state of an array is the first of these that any of its tasks has."""


def sighting(rows: Sequence[Row], handle: str = "") -> Sighting:
    """What the rows of one job (the tasks of one array) say together. Restarts and GPUs are added up."""
    if len(rows) == 1 and not rows[0].tasks:
        return _single(rows[0], handle)
    chief = min(rows, key=lambda row: WEIGHT.index(row.state))
    state = chief.state
    present = [_single(row, handle) for row in rows if row.state is state]
    every = [_single(row, handle) for row in rows]
    failed = [row.exit_code for row in rows if row.exit_code not in ("", "0:0")]
    return replace(
        _single(chief, handle),
        nodes=tuple(dict.fromkeys(node for one in present for node in one.nodes)),
        node_count=sum(one.node_count for one in present),
        gpus=sum(row.gpus * max(1, len(row.numbers)) for row in rows if row.state is state),
        submitted_at=min((one.submitted_at for one in every if one.submitted_at is not None), default=None),
        started_at=min((one.started_at for one in every if one.started_at is not None), default=None),
        expected_start=min((one.expected_start for one in every if one.expected_start is not None), default=None),
        restarts=sum(row.restarts for row in rows),
        exit_code=failed[0] if failed else chief.exit_code,
        tasks={number: row.state for row in rows for number in row.numbers},
    )


def _single(row: Row, handle: str) -> Sighting:
    state = row.state
    waits = state is JobState.QUEUED
    return Sighting(
        handle=handle or row.job,
        name=row.name,
        state=state,
        word=row.word,
        user=row.user,
        qos=row.qos,
        reason="" if row.reason in ("None", "N/A") else row.reason,
        nodes=nodes_of(row.nodes),
        node_count=row.node_count,
        gpus=row.gpus,
        submitted_at=row.submitted_at,
        started_at=None if waits else row.start,
        expected_start=row.start if waits else None,
        restarts=row.restarts,
        exit_code=row.exit_code,
    )
