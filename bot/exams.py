"""The Exams port: the Gauntlet's inputs and verdict, a gateway key that sees `candidate`, and the array's script."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway import keys, store
from gauntlet import conclude, runs
from gauntlet.grades import grades_file
from gauntlet.suite_files import read_suites
from lifecycle.deployments import CANDIDATE_TAG, STABLE_TAG
from lifecycle.plans import Plan
from lifecycle.ports import Chat, Clock, ExamProgress, Recipes, Script, Verdict
from lifecycle.records import Deployment
from lifecycle.runfolder import RunFolder
from lifecycle.settings import Settings

KEY_DAYS = 7


def offers_of(plan: Plan) -> frozenset[str]:
    """What the planned engine does beside plain chat, in the Gauntlet's words (gauntlet.cases.NEEDS)."""
    if not plan.ladder or plan.ladder[0].engine != "vllm":
        return frozenset()
    tools = {"tools"} if "--enable-auto-tool-choice" in plan.ladder[0].args else set()
    return frozenset({"schema", "logprobs", *tools})


class GauntletExams:
    """What is under test is called by its deployment id, so that no other deployment of the model can answer for it."""

    def __init__(self, settings: Settings, recipes: Recipes, clock: Clock, stable: Callable[[], Sequence[Deployment]]):
        """`stable`: the deployments that everybody calls now, the newest first."""
        self._settings = settings
        self._stable = stable
        self._recipes = recipes
        self._clock = clock

    def _folder(self, deployment: Deployment, run: int) -> Path:
        return RunFolder(self._settings.site.shared, deployment.id).gauntlet(run)

    def prepare(self, deployment: Deployment, run: int, attempt: int) -> Script:
        folder = self._folder(deployment, run)
        gauntlet = self._settings.gauntlet
        runs.prepare(
            folder,
            suites=gauntlet.suites,
            shards=gauntlet.shards,
            base_url=f"{self._settings.gateway.url}/v1",
            model=deployment.id,
            key_file=self._key(deployment, run, folder),
            judges=[judge for judge in (gauntlet.judge, gauntlet.second_judge) if judge],
            concurrency=gauntlet.concurrency,
            rival=self._rival(deployment),
            offers=offers_of(deployment.plan),
            context=deployment.plan.context,
            baseline=self._baseline(deployment, run),
            subject={
                "model": deployment.model,
                "revision": deployment.revision,
                "deployment": deployment.id,
                "run": run,
                "plan": f"{deployment.plan.nodes} × {deployment.plan.gpus_per_node} {deployment.plan.gpu_type}",
                "gpus": deployment.plan.gpus,
                "gpu_hour_price": self._settings.gateway.gpu_hour_price,
            },
        )
        return self._recipes.exam(deployment, run, attempt, runs.shards_to_ask(folder))

    def chats(self) -> list[Chat]:
        """Of the site's own suites, or of those that ship."""
        return [case.messages for suite in read_suites(self._settings.gauntlet.suites) for case in suite.cases]

    def _key(self, deployment: Deployment, run: int, folder: Path) -> Path:
        """A key of its own for each run, in a file that only the service's user can read."""
        path = folder / "key"
        if path.exists():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(store.open_store(self._settings.gateway_store)) as db:
            expires = self._clock() + KEY_DAYS * 86400
            tags = [CANDIDATE_TAG, STABLE_TAG]  # what is judged, and what it is compared with
            plaintext = keys.issue(db, f"gauntlet {deployment.id} {run}", tags, "gauntlet", expires)
        aside = folder / ".key"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(plaintext)
        aside.rename(path)
        return path

    def progress(self, deployment: Deployment, run: int) -> ExamProgress:
        return runs.progress(self._folder(deployment, run))

    def conclude(self, deployment: Deployment, run: int) -> Verdict:
        return conclude.conclude_soon(self._folder(deployment, run))

    def regraded(self, deployment: Deployment, run: int) -> Verdict | None:
        folder = self._folder(deployment, run)
        if not grades_file(folder).exists():
            return None
        verdict = conclude.from_file(folder)
        return verdict if verdict and (verdict.summary or {}).get("graded_by_people") else None

    def _rival(self, deployment: Deployment) -> str:
        """Whose answers it is compared with: the deployment that it would replace, else the newest in `stable`."""
        others = [one.id for one in self._stable() if one.id != deployment.id]
        return deployment.replaces if deployment.replaces in others else next(iter(others), "")

    def _baseline(self, deployment: Deployment, run: int) -> Path | None:
        """The last concluded run of the deployment that this one would replace, else this one's own before."""
        if deployment.replaces:
            home = RunFolder(self._settings.site.shared, deployment.replaces).gauntlet(1).parent
        else:
            home = self._folder(deployment, run).parent
        concluded = [
            int(path.parent.name)
            for path in home.glob("*/verdict.json")
            if path.parent.name.isdigit() and (deployment.replaces or int(path.parent.name) < run)
        ]
        return home / str(max(concluded)) if concluded else None
