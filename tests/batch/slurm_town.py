"""The lifecycle with the lab's real Slurm and the scripted engine: all but vLLM, the gateway and the exam."""

import http.client
import json
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from batch.recipes import Recipes
from batch.scheduler import choose
from lifecycle import actions, queries
from lifecycle.jobs import Sighting
from lifecycle.ledger import Ledger
from lifecycle.ports import ExamProgress, Script, Verdict
from lifecycle.reconcile import Tick, tick
from lifecycle.records import Deployment, Server
from lifecycle.runfolder import RunFolder, model_folder, read_json, write_json
from lifecycle.sections.cluster import Cluster, Gpu
from lifecycle.sections.serving import Runtime, Serving
from lifecycle.sections.site import Site
from lifecycle.sections.watching import Hub, Weights
from lifecycle.settings import Settings
from lifecycle.world import Limits, World
from tests.batch.launching import ENGINE
from tests.batch.recipe_lab import PLAN
from tests.waiting import until

TOY = Gpu(memory=10**9, per_node=1, gres="toy", cpus=1, host_memory=2**28)


class EasyExam:
    """A job that ends at once, and a pass."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self, deployment: Deployment, run: int, attempt: int) -> Script:
        key = f"dz-{deployment.id}-exam-{run}-{attempt}"
        path = self._folder / f"{key}.sbatch"
        options = {"job-name": key, "account": "serving", "partition": "serving", "output": "/dev/null"}
        path.write_text("\n".join(["#!/bin/bash", *(f"#SBATCH --{k}={v}" for k, v in options.items()), "true", ""]))
        return Script(key, path)

    def progress(self, deployment: Deployment, run: int) -> ExamProgress:
        return ExamProgress(done=1, total=1, shards_done=1, shards=1)

    def conclude(self, deployment: Deployment, run: int) -> Verdict:
        return Verdict(outcome="PASS", reasons=())


class Routed:
    """A gateway that takes every change over at once."""

    def serves(self, generation: int) -> bool:
        return True


@dataclass
class SlurmTown:
    """One deployment; `script` is for the engine, `launcher` its limits. Without a `hub` the weights are there.
    `kind`: "local" for the scheduler of the same name. `bytes`: of the weights, as the plan says."""

    folder: Path
    script: dict = field(default_factory=dict)
    nodes: int = 1
    walltime_s: int = 3600
    launcher: dict = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    kind: str = "slurm"
    hub: str = ""
    weights: Weights = field(default_factory=Weights)
    bytes: int = PLAN.weights_bytes
    revision: str = PLAN.revision
    patience_s: float = 10  # with Slurm's commands

    def __post_init__(self) -> None:
        self.shared, self.engine = self.folder / "shared", self.folder / "engine"
        cluster = Cluster(account="serving", kind=self.kind, gpus={"toy": TOY}, command_timeout_s=self.patience_s)
        script = json.dumps({"folder": str(self.engine), **self.script})
        runtime = Runtime(engine="vllm", command=(sys.executable, str(ENGINE), "serve"), environment={"SCRIPT": script})
        settings = Settings(
            site=Site(shared=self.shared, state=self.folder / "state"), cluster=cluster, runtimes={"vllm": runtime},
            serving=Serving(ladder=("vllm",), address="127.0.0.1"), hub=Hub(endpoint=self.hub or Hub().endpoint),
            weights=self.weights,
        )  # fmt: skip
        self.ledger = Ledger(self.folder / "state" / "ledger.db", time.time)
        self.scheduler = choose(settings, self.folder / "scheduler", time.time)
        recipes = Quick(settings, self.launcher)
        self.world = World(
            ledger=self.ledger, scheduler=self.scheduler, recipes=recipes, exams=EasyExam(self.folder),
            registry=Routed(), clock=time.time, shared=self.shared, limits=self.limits,
        )  # fmt: skip
        self.plan = replace(
            PLAN, revision=self.revision, weights_bytes=self.bytes, account="serving", gpu_type="toy", nodes=self.nodes,
            gpus_per_node=1, tensor_parallel=self.nodes, pipeline_parallel=1, walltime_s=self.walltime_s,
            ladder=(replace(PLAN.ladder[0], args=()),),
        )  # fmt: skip
        weights = model_folder(self.shared, self.plan.model, self.plan.revision)
        if not self.hub:
            write_json(weights / "manifest.json", {"bytes": 1})
        self.ledger.found("model", self.plan.model, self.plan.revision)
        release = queries.release_of(self.ledger.connection, "model", self.plan.model, self.plan.revision)
        self.ledger.learn(release, None, self.plan)
        self.name, _ = actions.approve(self.ledger, release.id, self.plan.digest, by="alice")

    # Looks ------------------------------------------------------------------------------------------------------

    @property
    def deployment(self) -> Deployment:
        return queries.deployment(self.ledger.connection, self.name)

    @property
    def servers(self) -> list[Server]:
        return queries.servers_of(self.ledger.connection, self.name)

    def kinds(self) -> list[str]:
        return [event.kind for event in queries.history(self.ledger.connection, self.name)]

    def urls(self) -> list[str]:
        return [row[0] for row in self.ledger.connection.execute("SELECT url FROM routes ORDER BY url")]

    def read(self, n: int, name: str) -> dict:
        return read_json(RunFolder(self.shared, self.name).server(n) / f"{name}.json") or {}

    def handle(self, n: int, purpose: str = "serve") -> str:
        return queries.job(self.ledger.connection, f"dz-{self.name}-{purpose}-{n}").handle

    def look(self, purpose: str, n: int) -> Sighting:
        """At a job, as the scheduler tells it now."""
        handle = self.handle(n, purpose)
        return self.scheduler.snapshot([handle]).look(handle)

    # Moves ------------------------------------------------------------------------------------------------------

    def tick(self) -> Tick:
        return tick(self.world)

    def ticks(self, condition, timeout: float, what: str):
        """Tick until `condition()` is true; the last events are told when it never is."""

        def look():
            self.tick()
            return condition()

        try:
            return until(look, timeout, what, every=0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.deployment.state} {self.kinds()[-8:]}") from None

    def serve(self, timeout: float = 40) -> "SlurmTown":
        self.ticks(lambda: self.deployment.state == "PREVIEW", timeout, "preview")
        return self

    def close(self) -> None:
        """Cancel everything and see it gone, so that the next test finds free nodes."""
        jobs = [job for job in queries.jobs_of(self.ledger.connection, self.name) if job.handle]
        for job in jobs:
            self.scheduler.cancel(job.handle)
        for job in jobs:
            look = lambda h=job.handle: self.scheduler.snapshot([h]).look(h).state.ended  # noqa: E731
            until(look, 60, f"the end of job {job.handle}", every=0.2)
        self.ledger.close()


class Quick(Recipes):
    """The real recipes; launch.json gets a quick launcher's limits besides."""

    def __init__(self, settings: Settings, launcher: dict):
        super().__init__(settings)
        self._quick = {"beat_s": 0.2, "drain_s": 10, "linger_s": 0.3, "stop_s": 1, "backoff_s": 0.1} | launcher

    def _launch(self, deployment: Deployment) -> dict:
        return {**super()._launch(deployment), "limits": self._quick}


def ask(url: str, prompt: str = "hello", timeout: float = 60) -> str:
    """One completion from an engine; OSError or HTTPException when it is cut."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)
    try:
        body = json.dumps({"model": PLAN.model, "prompt": prompt, "max_tokens": 1})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        return answer["choices"][0]["text"]
    finally:
        connection.close()


class Callers:
    """People who ask all the time, of the newest route that the ledger shows; `lost` are requests without an answer.

    As the gateway does, a connection that is refused is tried again on another route; one that breaks later is lost.
    """

    def __init__(self, town: SlurmTown, count: int = 2, prompt: str = "slow 0.5") -> None:
        self.answered, self.lost, self._stop = 0, [], threading.Event()
        self._ledger, self._prompt = town.ledger, prompt
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self) -> None:
        while not self._stop.is_set():
            deadline = time.monotonic() + 5
            try:
                while True:
                    routes = self._ledger.connection.execute("SELECT url FROM routes ORDER BY up_since DESC").fetchall()
                    try:
                        if ask(routes[0][0], self._prompt) == "ok":
                            self.answered += 1
                        break
                    except (ConnectionRefusedError, IndexError):
                        if time.monotonic() > deadline:
                            raise
            except Exception as error:
                self.lost.append(repr(error))
        self._ledger.close()
