"""A small site for stories about requests: the embedded scheduler, real Transformers servers, the real gateway.

What is left out is what these stories do not touch: the Hub (weights are copied), Slack, and the Gauntlet (every
deployment passes at once).
"""

import contextlib
import json
import os
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from bot.world import Parts, build
from gateway import keys, store
from lab.campus import config
from lab.campus.campus import ROOT
from lab.campus.processes import Process, end_all_marked, start
from lab.slurm.ports import free_ports
from lifecycle import deployments, queries
from lifecycle.models import ModelFacts
from lifecycle.runfolder import model_folder, write_json
from lifecycle.settings import Settings, load
from tests.story.conftest import ENGINE, SHELF
from tests.waiting import until

S = TypeVar("S", bound="Site")

SWAP = """
[swap]
steps = [25, 100]
step_minutes = 0.05
keep_minutes = 0.05
worse_ttft = 100
"""


def addresses(port: int, **others: object) -> config.Addresses:
    """The gateway's port; nobody listens at the addresses that are not given."""
    nobody = dict.fromkeys(("hub", "github", "slack_api", "judge"), "http://127.0.0.1:9") | {"mail_port": 9}
    return config.Addresses(**nobody | others, gateway_port=port)


class Site:
    """`settings`, `parts` and a gateway; `tick()` takes a round and lets everybody pass the Gauntlet."""

    weights = SHELF / "good"
    swap = SWAP
    secrets: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path):
        self.folder = folder
        port = free_ports(1)[0]
        self.config = folder / "dayzero.toml"
        self.config.write_text(self.configuration(port) + self.swap)
        (folder / "providers.toml").write_text("")
        self.settings: Settings = load(self.config, self.secrets)
        self.url = f"http://127.0.0.1:{port}"
        self.mark = f"DAYZERO_CONFIG={self.config}"
        self.parts: Parts = build(self.settings)
        self.gateway: Process | None = None
        self.stumbles: tuple[str, ...] = ()

    def configuration(self, port: int) -> str:
        """The text of dayzero.toml but for [swap]."""
        return config.settings(self.folder, addresses(port), slurm=False, engine=ENGINE, research_user="bob",
                               gpu_memory=8_000_000, ladder=["transformers"])  # fmt: skip

    def up(self) -> None:
        argv = [sys.executable, "-m", "bot.cli", "gateway"]
        environment = {"DAYZERO_CONFIG": str(self.config), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self.gateway = start("gateway", argv, self.folder / "logs", environment, ROOT)
        with contextlib.closing(store.open_store(self.settings.gateway_path)) as db:
            self.key = keys.issue(db, "load", ["preview", "stable"], "tests")

    def down(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()
        self.parts.close()
        end_all_marked(self.mark)
        shutil.rmtree(self.folder, ignore_errors=True)

    def deploy(self, repo: str, revision: str, **changes: object) -> str:
        """Weights published as a caching job would, the plan (with `changes`) approved; its id."""
        good, target = self.weights, model_folder(self.settings.site.shared, repo, revision)
        shutil.copytree(good, target)
        size = sum(path.stat().st_size for path in good.glob("*.safetensors"))
        write_json(target / "manifest.json", {"bytes": size})
        facts = ModelFacts(repo=repo, revision=revision, config=json.loads((good / "config.json").read_text()),
                           weights_bytes=size, has_safetensors=True, context=1024)  # fmt: skip
        ledger, plan = self.parts.ledger, self.parts.world.recipes.plan(facts)
        assert plan.nodes == 1
        plan = replace(plan, **changes)
        ledger.found("model", repo, revision)
        release = queries.release_of(ledger.connection, "model", repo, revision)
        made = ledger.approve(release, plan, by="alice")
        assert made is not None
        return made

    def state(self, name: str) -> str:
        return queries.deployment(self.parts.ledger.connection, name).state

    def taken_over(self) -> bool:
        """Does every gateway worker know what the ledger says now?"""
        return self.parts.world.registry.serves(queries.generation(self.parts.ledger.connection))

    def tick(self) -> None:
        self.stumbles = self.parts.tick().stumbles
        for one in queries.deployments(self.parts.ledger.connection):
            if one.state == deployments.TESTING:
                self.parts.ledger.move_deployment(one, "passed", by="the test")
            assert one.state != deployments.BROKEN, one.reason

    def tick_until(self, reached, seconds: float, what: str) -> None:
        def step() -> bool:
            self.tick()
            return reached()

        try:
            until(step, seconds, what, every=0.2)
        except AssertionError as late:
            found = queries.deployments(self.parts.ledger.connection)
            told = [f"{one.id} {one.state} {one.progress}" for one in found]
            raise AssertionError(f"{late}; {told}; {self.stumbles}") from None


class Load:
    """Callers who ask one question after the other, every second one as a stream, and keep what they got."""

    def __init__(self, site: Site, model: str, callers: int = 3, prompt: str = "Hello?"):
        self._site, self._model, self._prompt = site, model, prompt
        self._stop = threading.Event()
        self.answers: list[tuple[int, str]] = []
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(callers)]
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _ask(self, n: int) -> None:
        while not self._stop.is_set():
            n += 1
            body = {"model": self._model, "messages": [{"role": "user", "content": self._prompt}], "max_tokens": 4,
                    "temperature": 0, "stream": n % 2 == 0}  # fmt: skip
            headers = {"Authorization": f"Bearer {self._site.key}", "Content-Type": "application/json"}
            path = f"{self._site.url}/v1/chat/completions"
            request = urllib.request.Request(path, json.dumps(body).encode(), headers)
            try:
                with self._opener.open(request, timeout=120) as answer:
                    text = answer.read().decode()
                    whole = "[DONE]" in text if body["stream"] else "choices" in text
                    self.answers.append((answer.status, "" if whole else text))
            except OSError as error:
                said = error.read().decode() if hasattr(error, "read") else str(error)
                self.answers.append((getattr(error, "code", 0), said))
            time.sleep(0.02)


@contextlib.contextmanager
def site_in(folder: Path, kind: type[S] = Site) -> Iterator[S]:
    """A site that is up, and gone afterwards with everything it started."""
    before = os.environ.get("DAYZERO_CONFIG")
    os.environ["DAYZERO_CONFIG"] = str(folder / "dayzero.toml")  # what finds the jobs' processes again
    site = kind(folder)
    try:
        site.up()
        yield site
    finally:
        site.down()
        if before is None:
            del os.environ["DAYZERO_CONFIG"]
        else:
            os.environ["DAYZERO_CONFIG"] = before
