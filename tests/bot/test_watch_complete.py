"""From an upload to its card: over random uploads, every release that is complete is offered, and no other ever is."""

import contextlib
import itertools
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from batch.hub import HubReader
from bot.offers import Offers
from bot.watch.hub import HubWatch
from lab.hub.server import Hub
from lifecycle import queries, releases
from lifecycle.jobs import Forecast
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.settings import Settings
from tests.bot.office import TINY, weights
from tests.lifecycle.town import plan

SETTLE_S = 60
SHARDS = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
INDEX = json.dumps({"metadata": {"total_size": 200}, "weight_map": {"a": SHARDS[0], "b": SHARDS[1]}})
NAMES = ["acme/a", "acme/b"]
STEPS = st.tuples(
    st.sampled_from("index shard1 shard2 readme unshard rename hide show delete wait look look kill".split()),
    st.sampled_from(NAMES),
)


class Here:
    """The planner and the scheduler of a site where everything fits and nobody is in the way."""

    def plan(self, facts: ModelFacts, **wishes: object) -> Plan:
        return replace(plan(facts.repo), revision=facts.revision)

    def draft(self, wanted: Plan) -> Plan:
        return wanted

    def forecast(self, script: Plan) -> Forecast:
        return Forecast(starts_at=None)


class Uploads:
    """A Hub where people upload piece by piece, and the part of the bot that looks and offers."""

    def __init__(self, folder: Path, hub: Hub):
        self.folder, self.hub, self.skip = folder, hub, 0.0
        self.counter = itertools.count()
        self.settings = Settings.model_validate({"hub": {"endpoint": hub.url}, "watch": {"organizations": ["acme"]}})
        self.ledger = Ledger(folder / "ledger.db", self.clock)

    def clock(self) -> float:
        return time.time() + self.skip

    def do(self, step: str, name: str) -> None:
        files = {
            "index": {"model.safetensors.index.json": INDEX},
            "shard1": {SHARDS[0]: weights(100)},
            "shard2": {SHARDS[1]: weights(100)},
            "unshard": {SHARDS[1]: None},
            "readme": {"README.md": f"# {next(self.counter)}\n"},
        }
        there = self.hub.store.find(name)
        if step in files and not there:
            first = {path: data for path, data in {**TINY, **files[step]}.items() if data is not None}
            self.hub.publish({**first, "id.txt": str(next(self.counter))}, name)
        elif step in files:
            self.hub.push(name, files[step])
        elif step == "rename" and there:
            self.hub.rename(name, f"{name}-{next(self.counter)}")
        elif step in ("hide", "show") and there:
            self.hub.change(name, private=step == "hide")
        elif step == "delete" and there:
            self.hub.delete(name)
        elif step == "wait":
            self.skip += 2 * SETTLE_S
        elif step == "kill":
            self.ledger.close()
            self.ledger = Ledger(self.folder / "ledger.db", self.clock)
        elif step == "look":
            self.look()

    def look(self) -> None:
        with contextlib.closing(HubWatch(self.settings, self.ledger)) as watch:
            watch.look("hub:acme")
        here = Here()
        Offers(self.ledger, HubReader(self.settings.hub), here, here, SETTLE_S).step()
        self.check()

    def complete(self) -> dict[str, str]:
        """repository → commit of what is public and has all its weights, read from the lab's own store."""
        found = {}
        for repo in self.hub.store.all():
            paths = set(repo.head.files)
            if (
                not repo.meta.private
                and {*SHARDS, "model.safetensors.index.json"} <= paths
                and repo.id != "acme/anchor"
            ):
                found[repo.id] = repo.head.sha
        return found

    def check(self) -> None:
        """Right after a look: what is offered is complete, and planned as it stands there."""
        for release in queries.releases_in(self.ledger.connection, releases.OFFERED):
            assert self.complete().get(release.repo) == release.revision == release.plan.revision

    def close(self) -> None:
        self.ledger.close()


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=14))
def test_every_complete_release_is_offered_and_no_other(steps: list) -> None:
    """Whatever the order of files, renames, withdrawals and kills: in the end a card for each, with its last commit."""
    with tempfile.TemporaryDirectory() as folder, Hub(Path(folder) / "hub") as hub:
        hub.publish({"config.json": "{}"}, "acme/anchor")
        uploads = Uploads(Path(folder), hub)
        uploads.look()
        for step, name in steps:
            uploads.do(step, name)
        for _ in range(2):
            uploads.look()
            uploads.skip += 2 * SETTLE_S
        uploads.look()
        offered = queries.releases_in(uploads.ledger.connection, releases.OFFERED)
        assert {release.repo: release.revision for release in offered} == uploads.complete()
        uploads.close()
