"""A world in memory for the lifecycle's tests: a scheduler whose clock we turn, jobs that do what the test says.

It is tested itself by the steps it makes possible: whatever passes here runs again on real Slurm in tests/story.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from lifecycle.demand import Demand
from lifecycle.errors import SchedulerSilent
from lifecycle.guards import NO_RAILS
from lifecycle.jobs import Forecast, JobState, Sighting, Snapshot, Victim
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.naming import job_key
from lifecycle.plans import Plan
from lifecycle.ports import ExamProgress, Script, Verdict
from lifecycle.records import Deployment, Server
from lifecycle.runfolder import RunFolder, model_folder, write_json
from lifecycle.swaps import Quality
from lifecycle.world import Limits, World

SHA = "3f2a1b" + "0" * 34


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@dataclass
class TownScheduler:
    """Jobs by handle. `silent` answers nothing. `kill_after_submit` dies between the submission and its answer."""

    clock: "TownClock"
    name: str = "town"
    jobs: dict[str, Sighting] = field(default_factory=dict)
    submissions: list[str] = field(default_factory=list)
    hurried: list[str] = field(default_factory=list)
    questions: int = 0
    silent: bool = False
    kill_after_submit: bool = False
    victims: tuple[Victim, ...] = ()

    def submit(self, script: Script) -> str:
        if self.silent:
            raise SchedulerSilent("The scheduler gives no answer.")
        handle = str(len(self.submissions) + 1)
        self.submissions.append(script.key)
        self.jobs[handle] = Sighting(handle=handle, name=script.key, state=JobState.QUEUED, word="PENDING")
        if self.kill_after_submit:
            self.kill_after_submit = False
            raise Killed
        return handle

    def find(self, keys) -> dict[str, str]:
        return {job.name: job.handle for job in self.jobs.values() if job.name in keys}

    def snapshot(self, handles) -> Snapshot:
        self.questions += 1
        if self.silent:
            return Snapshot(taken_at=self.clock(), ok=False, jobs={}, silence="The scheduler gives no answer.")
        return Snapshot(taken_at=self.clock(), ok=True, jobs=dict(self.jobs))

    def forecast(self, script: Script) -> Forecast:
        return Forecast(starts_at=self.clock(), victims=self.victims)

    def cancel(self, handle: str, *, gently: bool = False) -> None:
        self.set(handle, JobState.CANCELLED)

    def hurry(self, handle: str) -> None:
        self.hurried.append(handle)

    def tell(self, handle: str, message: str) -> None:
        pass

    def set(self, handle: str, state: JobState, **changes) -> None:
        self.jobs[handle] = replace(self.jobs[handle], state=state, word=state.value, **changes)

    def handle_of(self, key: str) -> str:
        return next(job.handle for job in self.jobs.values() if job.name == key)


@dataclass
class TownClock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.001  # so that no two events share a moment
        return self.now


@dataclass
class TownRecipes:
    root: Path

    def _script(self, key: str) -> Script:
        return Script(key, self.root / f"{key}.sbatch")

    def plan(self, facts: ModelFacts, **wishes) -> Plan:
        return plan(facts.repo)

    def cache(self, deployment: Deployment, attempt: int) -> Script:
        return self._script(job_key(deployment.id, "cache", attempt))

    def quantize(self, deployment: Deployment, attempt: int, chats) -> Script:
        return self._script(job_key(deployment.id, "quantize", attempt))

    def serve(self, deployment: Deployment, server: Server) -> Script:
        return self._script(job_key(deployment.id, "serve", server.n))

    def exam(self, deployment: Deployment, run: int, attempt: int, shards) -> Script:
        return self._script(job_key(deployment.id, "exam", run, attempt))

    def dry(self, deployment: Deployment) -> Script:
        return self._script(job_key(deployment.id, "dry", 1))

    def image(self, image: str, reference: str, kind: str) -> Script:
        return self._script(f"dz-image-{image}")

    def draft(self, plan: Plan) -> Script:
        return self._script("draft")


@dataclass
class TownExams:
    recipes: TownRecipes
    outcome: str = "PASS"
    reasons: tuple[str, ...] = ()
    done: int = 10
    shards_done: int = 2
    drawing: bool = False
    by_people: Verdict | None = None
    reserve: str = ""  # why it will be asked
    more: str = ""  # why it is asked
    more_begun: bool = False

    def chats(self):
        return [[{"role": "user", "content": "Hello?"}]]

    def prepare(self, deployment: Deployment, run: int, attempt: int) -> Script:
        return self.recipes.exam(deployment, run, attempt, range(2))

    def progress(self, deployment: Deployment, run: int) -> ExamProgress:
        return ExamProgress(
            done=self.done, total=10, shards_done=self.shards_done, shards=2 + bool(self.more),
            more=self.more, more_begun=self.more_begun,
        )  # fmt: skip

    def conclude(self, deployment: Deployment, run: int) -> Verdict:
        if self.reserve and not self.more:
            self.more = self.reserve
            return Verdict(outcome="INCONCLUSIVE", reasons=(self.more,), more=12)
        return Verdict(outcome=self.outcome, reasons=self.reasons, drawing=self.drawing)

    def regraded(self, deployment: Deployment, run: int) -> Verdict | None:
        return self.by_people


@dataclass
class TownRegistry:
    open: bool = True
    seen: dict[str, Quality] = field(default_factory=dict)

    def serves(self, generation: int) -> bool:
        return self.open

    def quality(self, deployments, since: float) -> dict[str, Quality]:
        return {one: self.seen.get(one, Quality()) for one in deployments}


@dataclass
class TownDemands:
    """What callers ask, as the test says; `deaf`: the gateway's word can't be had."""

    asked: dict[str, Demand] = field(default_factory=dict)
    deaf: bool = False

    def of(self, deployment: str) -> Demand | None:
        return None if self.deaf else self.asked.get(deployment, Demand())


def plan(model: str = "acme/Tiny-Good") -> Plan:
    return Plan(
        model=model, revision=SHA, partition="p", account="a", qos="serving", gpu_type="toy", nodes=2, gpus_per_node=1,
        tensor_parallel=2, pipeline_parallel=1,
    )  # fmt: skip


class Town:
    """The world and the hands that play Slurm, the nodes and the people in it."""

    def __init__(self, folder: Path, **limits):
        self.shared = folder / "shared"
        self.clock = TownClock()
        self.ledger = Ledger(folder / "state" / "ledger.db", self.clock)
        self.scheduler = TownScheduler(self.clock)
        self.recipes = TownRecipes(self.shared)
        self.exams = TownExams(self.recipes)
        self.registry = TownRegistry()
        self.limits = Limits(**limits)
        self.rails = NO_RAILS
        self.demands = TownDemands()

    @property
    def world(self) -> World:
        return World(
            ledger=self.ledger, scheduler=self.scheduler, recipes=self.recipes, exams=self.exams,
            registry=self.registry, clock=self.clock, shared=self.shared, limits=self.limits,
            rails=self.rails, demands=self.demands,
        )  # fmt: skip

    def publish_weights(self, deployment: Deployment) -> None:
        folder = model_folder(self.shared, deployment.model, deployment.revision)
        write_json(folder / "manifest.json", {"bytes": 5})

    def endpoint(self, deployment: str, n: int = 1, restarts: int = 0) -> None:
        handle = self.scheduler.handle_of(job_key(deployment, "serve", n))
        document = {"url": "http://node:1", "model": "m", "engine": "vllm", "job": handle, "restarts": restarts}
        write_json(RunFolder(self.shared, deployment).server(n) / "endpoint.json", document)

    def fail(self, folder: Path, handle: str, sentence: str, retryable: bool) -> None:
        write_json(folder / "failure.json", {"job": handle, "sentence": sentence, "retryable": retryable})
