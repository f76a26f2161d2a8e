"""One line of squeue or sacct as a value, and what the lines of one job add up to."""

from collections.abc import Sequence
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


WAITING = frozenset({JobState.QUEUED})
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
    chief = min(rows, key=lambda row: WEIGHT.index(row.state))
    running = [row for row in rows if row.state not in WAITING]
    begun = [row.start for row in running if row.start is not None]
    expected = [row.start for row in rows if row.state in WAITING and row.start is not None]
    submitted = [row.submitted_at for row in rows if row.submitted_at is not None]
    failed = [row.exit_code for row in rows if row.exit_code not in ("", "0:0")]
    present = [row for row in rows if row.state == chief.state]
    return Sighting(
        handle=handle or chief.job,
        name=chief.name,
        state=chief.state,
        word=chief.word,
        user=chief.user,
        qos=chief.qos,
        reason=_reason(chief),
        nodes=nodes_of(chief.nodes) if len(present) == 1 else _nodes(present),
        node_count=sum(row.node_count for row in present),
        gpus=sum(row.gpus * max(1, len(row.numbers) if row.tasks else 1) for row in present),
        submitted_at=min(submitted, default=None),
        started_at=min(begun, default=None),
        expected_start=min(expected, default=None),
        restarts=sum(row.restarts for row in rows),
        exit_code=failed[0] if failed else chief.exit_code,
        tasks={number: row.state for row in rows if row.tasks for number in row.numbers},
    )


def _reason(row: Row) -> str:
    return "" if row.reason in ("None", "N/A") else row.reason


def _nodes(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node for row in rows for node in nodes_of(row.nodes)))
