"""What the lifecycle asks of the outside. Each port has real adapters above and one contract suite in tests/contracts.

Every method raises only lifecycle.errors: a Transient one is tried again at the next tick, a Permanent one is shown to
a person.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lifecycle.demand import Demand
from lifecycle.jobs import Forecast, Snapshot
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Server
from lifecycle.swaps import Quality

Chat = Sequence[Mapping[str, str]]
"""Messages, each with its role and content."""


@dataclass(frozen=True)
class Script:
    """A complete batch script in the run folder. `key` is its job name: unique for ever, the way back after a crash."""

    key: str
    path: Path


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds since the epoch, UTC."""


class Scheduler(Protocol):
    """Slurm, or child processes where there is none."""

    name: str

    def submit(self, script: Script) -> str:
        """Submit the file as it is and return the job's handle. SubmissionRefused or SchedulerSilent."""

    def find(self, keys: Collection[str]) -> dict[str, str]:
        """key → handle of the jobs that exist or existed under these names: asked before a submission is repeated."""

    def snapshot(self, handles: Collection[str]) -> Snapshot:
        """The whole queue, and the fate of those `handles` that have left it. Never raises: silence is a Snapshot."""

    def forecast(self, script: Script) -> Forecast:
        """When would it start, and whom would it evict?"""

    def cancel(self, handle: str, *, gently: bool = False) -> None:
        """End a job; idempotent, does not wait. `gently`: only its batch script gets SIGTERM, so that it can drain;
        a job that does not run yet, or does not heed it, needs a second call without."""

    def hurry(self, handle: str) -> None:
        """A requeued job of ours need not sit out the scheduler's usual pause before it may start; best effort."""

    def capacity(self) -> int | None:
        """GPUs of all nodes that can take jobs; None: not known."""

    def tell(self, handle: str, message: str) -> None:
        """Leave a short notice on somebody's job where the scheduler can (its admin comment); best effort."""


class Demands(Protocol):
    """What callers ask of our models, as the gateway counts it."""

    def of(self, deployment: str) -> Demand | None:
        """None: the gateway's word can't be had now, which is not 'nobody asks'."""


class Recipes(Protocol):
    """Turns decisions into numbers and complete scripts. Writes into the run folder; idempotent."""

    def plan(self, facts: ModelFacts, **wishes: object) -> Plan:
        """The best plan, no forecast; Refused says what is missing. `wishes`: nodes, gpus, context, engine, hours."""

    def quantized(self, facts: ModelFacts, scheme: str, **wishes: object) -> Plan:
        """The plan of a copy that a quantize job makes here; Refused says what is missing."""

    def cache(self, deployment: Deployment, attempt: int) -> Script: ...

    def quantize(self, deployment: Deployment, attempt: int, chats: Sequence[Chat]) -> Script:
        """The job that makes the weights of a plan with `made_from`; `chats` are what it may calibrate with."""

    def serve(self, deployment: Deployment, server: Server) -> Script: ...

    def exam(self, deployment: Deployment, run: int, attempt: int, shards: Sequence[int]) -> Script:
        """The array script that runs `python -m gauntlet.runner --folder <run folder> --shard $SLURM_ARRAY_TASK_ID`."""

    def dry(self, deployment: Deployment) -> Script:
        """The script that tries the first engine with dummy weights; it preempts nobody."""

    def image(self, image: str, reference: str, kind: str) -> Script:
        """The script that builds and tries an image (or overlay). Refused when the settings lack something for it."""

    def draft(self, plan: Plan) -> Script:
        """The serve script of a plan that is not approved yet, in a temporary place, for `Scheduler.forecast`."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`outcome`: PASS, FAIL or INCONCLUSIVE; `reasons`: plain sentences, the deciding first; `report`: HTML file."""

    outcome: str
    reasons: tuple[str, ...]
    report: Path | None = None
    picture: Path | None = None
    summary: dict | None = None
    drawing: bool = False  # the picture is still being drawn: ask again
    more: int = 0  # samples were added to the run, which is not finished any more: this is not the last word


@dataclass(frozen=True, kw_only=True)
class ExamProgress:
    done: int  # samples finished
    total: int
    shards_done: int
    shards: int
    more: str = ""  # why more is asked than at first: a second look, with an attempt of its own
    more_begun: bool = False


class Exams(Protocol):
    """The Gauntlet, seen from the lifecycle."""

    def chats(self) -> Sequence[Chat]:
        """What its suites ask, without the answers: prompts like those that people here will send."""

    def prepare(self, deployment: Deployment, run: int, attempt: int) -> Script:
        """Write the run's inputs and its array script, with a key that sees `candidate`. Idempotent."""

    def progress(self, deployment: Deployment, run: int) -> ExamProgress: ...

    def conclude(self, deployment: Deployment, run: int) -> Verdict:
        """Judge what the shards wrote (missing samples count as not evaluated); write verdict.json and the report.

        Never waits for the picture: while it is being drawn the verdict says `drawing`. Called again it says the same.
        Where samples were too few, and there are more, they are added to the run once, and the verdict says `more`.
        """

    def regraded(self, deployment: Deployment, run: int) -> Verdict | None:
        """The verdict after people have graded samples of a concluded run, or None when nobody did."""


class Registry(Protocol):
    """The gateway, seen from the lifecycle."""

    def serves(self, generation: int) -> bool:
        """Has every live gateway worker taken over the routing of this generation (or a later one)?"""

    def quality(self, deployments: Collection[str], since: float) -> Mapping[str, Quality]:
        """How each of these has answered since then (epoch seconds)."""
