"""lifecycle.ports.Recipes: decisions → numbers and complete scripts in the run folder."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch import quantizing, rates
from batch.images import choice, orders
from batch.options import comment, memory, options
from batch.payloads import cache_shares
from batch.payloads.place import Place
from batch.planning import online, planner
from batch.planning.alternatives import alternatives
from batch.planning.times import shares_of, timed
from batch.render import Templates, array, output_pattern, time_limit
from lifecycle.errors import BadSettings, NoSpace, Refused
from lifecycle.imagefolder import image_folder
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.ports import Chat, Script
from lifecycle.records import Deployment, Server
from lifecycle.runfolder import RunFolder, model_folder, read_json, write_json
from lifecycle.settings import Settings

DRY_HOURS = 1
LIGHT_HOURS = 12.0  # what a job without a GPU may take at most: two terabytes at 50 MB/s
SOURCE_ROOT = Path(__file__).resolve().parents[1]


class Recipes:
    """`python` and `source_root` (it holds batch/, gauntlet/ and sbatch_templates/) must exist on the nodes."""

    def __init__(self, settings: Settings, python: str | Path = sys.executable, source_root: Path = SOURCE_ROOT):
        self._settings = settings
        self._common = {"python": str(python), "source_root": str(source_root)}
        self._templates = Templates(Path(source_root) / "sbatch_templates")

    def plan(self, facts: ModelFacts, **wishes: object) -> Plan:
        image, overlay = wishes.pop("image", None), wishes.pop("overlay", None)
        made = timed(self._sized(facts, wishes), self._settings)
        return choice.with_image(made, self._settings, str(image) if image else None, str(overlay) if overlay else None)

    def _sized(self, facts: ModelFacts, wishes: dict[str, object]) -> Plan:
        """`quant`: fp8 on the fly; what else can be made takes a copy."""
        scheme = wishes.pop("quant", None)
        if scheme is None:
            return planner.plan(facts, self._settings, wishes)
        if scheme == online.SCHEME:
            return online.plan(facts, self._settings, wishes)
        raise Refused(
            f"There is no official {scheme} copy of {facts.repo}, and only {online.SCHEME} is made while it loads.",
            f"Say --quant {online.SCHEME}, or `dayzero swap` once it serves.",
        )

    def image(self, image: str, reference: str, kind: str) -> Script:
        folder, key = image_folder(self._settings.site.shared, image), f"dz-image-{image}"
        order = orders.order(self._settings, image, reference, kind)
        _write_if_changed(folder / "build.json", order)
        if kind == "apptainer":
            definition = self._templates.render("image.def", image=image, source=order["source"])
            self._write(folder / "image.def", key, definition, folder)
        text = self._templates.render(
            "image.sbatch",
            key=key,
            image=image,
            kind=kind,
            reference=reference,
            folder=folder,
            output=output_pattern(folder, "slurm-%j.out"),
            time=time_limit(self._settings.images.hours * 3600),
            comment=comment(image),
            **self._building(),
            **self._common,
        )
        return self._write(folder / f"{key}.sbatch", key, text, folder)

    def _building(self) -> dict[str, Any]:
        """With GPUs for its trial where the settings say so, and never with the QOS that preempts."""
        cluster, count = self._settings.cluster, self._settings.images.gpus
        light = self._light(cluster.account)
        gpu = next(iter(cluster.gpus.values()), None)
        if not count or gpu is None:
            return {**light, "gres": "", "cpus": 0, "memory": ""}
        kind = f":{gpu.gres}" if gpu.gres else ""
        size = {"cpus": gpu.cpus * count, "memory": memory(gpu.host_memory * count, whole=False)}
        return {**light, "partition": cluster.partition, "gres": f"gpu{kind}:{count}", **size}

    def cache(self, deployment: Deployment, attempt: int) -> Script:
        """A large model's is an array; after the first attempt only of the shares that are not done."""
        folder = self._write_plan(deployment)
        key = f"dz-{deployment.id}-cache-{attempt}"
        shares = shares_of(deployment.plan, self._settings)
        left = list(range(shares))
        if attempt > 1:
            site, model, revision = self._settings.site, deployment.model, deployment.revision
            place = Place(run_folder=folder.path, shared=site.shared, repo=model, revision=revision)
            left = cache_shares.unfinished(place, shares)
        text = self._cache_text(key, deployment.id, deployment.plan, folder.path, folder.cache, left)
        return self._write(folder.script(key), key, text, folder.cache)

    def _cache_text(self, key: str, name: str, plan: Plan, run_folder: Path, logs: Path, shares: Sequence[int]) -> str:
        every = shares_of(plan, self._settings)
        return self._templates.render(
            "cache.sbatch",
            key=key,
            model=plan.model,
            revision=plan.revision,
            run_folder=run_folder,
            shares=every,
            tasks=array(shares),
            output=output_pattern(logs, "slurm-%j.out" if every == 1 else "slurm-%A_%a.out"),
            time=self._light_time(),
            comment=comment(name),
            **self._light(plan.account),
            **self._common,
        )

    def alternatives(self, facts: ModelFacts, made: Plan, **wishes: object) -> tuple[str, ...]:
        """Other ways to serve it, as sentences, the fewest GPUs first."""
        asked = {name: wish for name, wish in wishes.items() if name not in ("image", "overlay", "quant")}
        return alternatives(facts, self._settings, asked, made)

    def quantized(self, facts: ModelFacts, scheme: str, **wishes: object) -> Plan:
        """How a copy that is made here would be served. Refused: what is missing to make it, or to serve it."""
        made = quantizing.plan(facts, scheme, self._settings, wishes)
        return choice.with_image(made, self._settings, None, None)

    def quantize(self, deployment: Deployment, attempt: int, chats: Sequence[Chat]) -> Script:
        folder, plan = self._write_plan(deployment), deployment.plan
        _write_if_changed(folder.path / "quantize.json", quantizing.order(plan, folder, self._settings, chats))
        key = f"dz-{deployment.id}-quantize-{attempt}"
        how = quantizing.how_of(plan)
        text = self._templates.render(
            "quantize.sbatch",
            key=key,
            model=plan.model,
            revision=how.made_from,
            scheme=how.scheme,
            run_folder=folder.path,
            output=output_pattern(folder.cache, "slurm-%j.out"),
            time=time_limit(self._settings.quantize.hours * 3600),
            comment=comment(deployment.id),
            **{**self._light(plan.account), **quantizing.resources(plan, self._settings)},
            **self._common,
        )
        return self._write(folder.script(key), key, text, folder.cache)

    def serve(self, deployment: Deployment, server: Server) -> Script:
        folder = self._write_plan(deployment)
        here = folder.server(server.n)
        _write_if_changed(here / "launch.json", self._launch(deployment))
        key = f"dz-{deployment.id}-serve-{server.n}"
        output = output_pattern(here, "slurm-%j.out")
        text = self._serve_text(key, deployment.id, deployment.plan, folder.path, server.n, output)
        return self._write(folder.script(key), key, text, here)

    def dry(self, deployment: Deployment) -> Script:
        folder = self._write_plan(deployment)
        here = folder.path / "dry"
        launch = {**self._launch(deployment), "rates": ""}  # dummy weights are not read
        rung = launch["ladder"][0]
        launch["ladder"] = [{**rung, "args": [*rung["args"], "--load-format", "dummy"]}]
        _write_if_changed(here / "launch.json", launch)
        key = f"dz-{deployment.id}-dry-1"
        plan = replace(deployment.plan, qos=self._settings.cluster.light_qos, walltime_s=DRY_HOURS * 3600)
        output = output_pattern(here, "slurm-%j.out")
        text = self._serve_text(key, deployment.id, plan, folder.path, 1, output, "dry.sbatch")
        return self._write(folder.script(key), key, text, here)

    def exam(self, deployment: Deployment, run: int, attempt: int, shards: Sequence[int]) -> Script:
        folder = RunFolder(self._settings.site.shared, deployment.id)
        here = folder.gauntlet(run)
        key = f"dz-{deployment.id}-exam-{run}-{attempt}"
        text = self._templates.render(
            "gauntlet.sbatch",
            key=key,
            model=deployment.model,
            revision=deployment.revision,
            run=run,
            folder=here,
            shards=array(shards),
            output=output_pattern(here, "slurm-%A_%a.out"),
            time=self._light_time(),
            comment=comment(deployment.id),
            **self._light(deployment.plan.account),
            **self._common,
        )
        return self._write(folder.script(key), key, text, here)

    def draft(self, plan: Plan) -> Script:
        """Only to be asked about, never to be run: it lies with the service's own state, under the plan's digest."""
        folder = self._settings.site.state / "drafts"
        key = f"dz-draft-{plan.digest}"
        text = self._serve_text(key, "draft", plan, folder / plan.digest, 0, "/dev/null")
        return self._write(folder / f"{key}.sbatch", key, text, folder)

    def drafts(self, plan: Plan) -> dict[str, str]:
        """What would be submitted for it, in this order: the download, then the server. Only to be read."""
        folder, key = self._settings.site.state / "drafts" / plan.digest, f"dz-draft-{plan.digest}"
        every = range(shares_of(plan, self._settings))
        download = self._cache_text(key, "draft", plan, folder, folder, every)
        return {"cache": download, "serve": self.draft(plan).path.read_text()}

    def _serve_text(self, key: str, name: str, plan: Plan, run_folder: Path, server: int, output: str,
                    template: str = "serve.sbatch") -> str:  # fmt: skip
        cluster = self._settings.cluster
        gpu = cluster.gpus.get(plan.gpu_type)
        kind = f":{gpu.gres}" if gpu and gpu.gres else ""
        whole = bool(gpu and gpu.exclusive and plan.gpus_per_node >= gpu.per_node)
        return self._templates.render(
            template,
            key=key,
            model=plan.model,
            revision=plan.revision,
            nodes=plan.nodes,
            gpus_per_node=plan.gpus_per_node,
            gres=f"gpu{kind}:{plan.gpus_per_node}",
            cpus=gpu.cpus * plan.gpus_per_node if gpu else 0,
            memory=memory(gpu.host_memory * plan.gpus_per_node, whole) if gpu else "",
            whole=whole,
            comment=comment(name),
            wckey=cluster.wckey,
            extra=options(cluster.extra),
            partition=plan.partition,
            account=plan.account,
            qos=plan.qos,
            time=time_limit(plan.walltime_s),
            run_folder=run_folder,
            server=server,
            output=output,
            **self._common,
        )

    def _light(self, account: str) -> dict[str, Any]:
        cluster = self._settings.cluster
        return {
            "partition": cluster.light_partition or cluster.partition,
            "qos": cluster.light_qos,
            "account": account,
            "wckey": cluster.wckey,
            "extra": options(cluster.light_extra),
        }

    def _light_time(self) -> str:
        return time_limit(min(LIGHT_HOURS, self._settings.cluster.guards.walltime_hours) * 3600)

    def _write_plan(self, deployment: Deployment) -> RunFolder:
        """plan.json: the approved plan, and what the caching job needs to know besides. No secret is in it."""
        folder = RunFolder(self._settings.site.shared, deployment.id)
        document = {
            "deployment": deployment.id,
            "repo": deployment.model,
            "revision": deployment.revision,
            "shared": str(self._settings.site.shared),
            "endpoint": self._settings.hub.endpoint,
            "plan": deployment.plan.to_dict(),
        }
        _write_if_changed(folder.plan, document)
        return folder

    def _launch(self, deployment: Deployment) -> dict[str, Any]:
        """launch.json: everything the node launcher has to know, so that nodes read no settings."""
        plan, shared = deployment.plan, self._settings.site.shared
        overlay = choice.check(plan, self._settings)
        ladder = []
        for rung in plan.ladder:
            runtime = self._settings.runtimes.get(rung.runtime)
            if runtime is None:
                raise BadSettings(
                    f"{deployment.id} was planned for the runtime {rung.runtime!r}, which the settings no longer have.",
                    f"Add [runtimes.{rung.runtime}] again, or make a new plan.",
                )
            ladder.append(
                {
                    "engine": rung.engine,
                    "runtime": rung.runtime,
                    "argv": orders.placed(shared, runtime.command, plan.image),
                    "args": [*runtime.args, *rung.args],
                    "environment": orders.overlaid(shared, runtime.environment, overlay),
                    "start_timeout_s": runtime.start_timeout_s,
                    "why": rung.why,
                }
            )
        return {
            "model_folder": str(model_folder(shared, deployment.model, deployment.revision)),
            "served_name": deployment.model,
            "ladder": ladder,
            "plan": plan.to_dict(),
            "address": self._settings.serving.address,
            "rates": str(rates.folder(shared)),
        }

    def _write(self, path: Path, key: str, text: str, output_folder: Path) -> Script:
        """Written aside, renamed; the folder of --output is made too: Slurm doesn't, and then the job dies unseen."""
        try:
            output_folder.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.new")
            aside.write_text(text)
            aside.replace(path)
        except OSError as error:
            raise NoSpace(
                f"The script {path} can't be written: {error.strerror}.", "Make room there, or mend its permissions."
            ) from error
        return Script(key, path)


def _write_if_changed(path: Path, document: dict[str, Any]) -> None:
    document = json.loads(json.dumps(document))
    found = read_json(path)
    if found is not None and {k: v for k, v in found.items() if k not in ("v", "at")} == document:
        return
    try:
        write_json(path, document)
    except OSError as error:
        raise NoSpace(
            f"{path} can't be written: {error.strerror}.", "Make room there, or mend its permissions."
        ) from error
