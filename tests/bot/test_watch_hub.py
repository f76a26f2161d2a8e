"""The watcher of the Hub over random histories, by the real protocol: each release found once, none missed."""

import itertools
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.watch.hub import HubWatch
from lab.hub.server import Hub
from lifecycle import queries, releases
from lifecycle.errors import HubUnavailable, Throttled, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

NAMES = [f"acme/{n}" for n in "abc"]
ANCHOR = "acme/anchor"
OPEN = (releases.FOUND, releases.OFFERED, releases.SNOOZED)

HAPPENS = """publish, publish privately, go public, go private, push, delete, rename, gate, look, look, kill and look,
silence, slow down"""
STEPS = st.tuples(st.sampled_from(re.split(r",\s", HAPPENS)), st.sampled_from(NAMES))


class Bench:
    """A Hub, a watcher, and what an observer who sees everything would have written down."""

    def __init__(self, folder: Path, hub: Hub):
        self.hub = hub
        self.folder = folder
        self.now = 4_000_000_000.0
        self.counter = itertools.count()
        self.settings = Settings.model_validate({"hub": {"endpoint": hub.url}, "watch": {"organizations": ["acme"]}})
        self.ledger = Ledger(folder / "ledger.db", self.clock)
        self.numbers: dict[str, int] = {}  # name → which repository it is, whatever it is called
        self.seen: set[int] = set()
        self.cards: dict[int, tuple[str, str]] = {}  # number of the card → what it is about
        self.card_of: dict[int, int] = {}  # repository → its latest card

    def clock(self) -> float:
        self.now += 1
        return self.now

    def listed(self) -> dict[str, str]:
        """repository → commit of all that is public now, read from the lab's own store."""
        return {r.id: r.head.sha for r in self.hub.store.all() if not r.meta.private}

    def files(self) -> dict[str, str]:
        return {"config.json": json.dumps({"n": next(self.counter)})}

    def do(self, step: str, name: str) -> None:
        """One thing that happens on the Hub, or to us; what can't happen there now does not."""
        there = self.hub.store.find(name)
        if step.startswith("publish") and not there:
            self.numbers[name] = next(self.counter)
            self.hub.publish(self.files(), name, private=step == "publish privately")
        elif step == "go public" and there:
            self.hub.make_public(name)
        elif step == "go private" and there:
            self.hub.change(name, private=True)
        elif step == "push" and there:
            self.hub.push(name, self.files())
        elif step == "delete" and there:
            self.hub.delete(name)
        elif step == "rename" and there:
            new = f"{name}-{next(self.counter)}"
            self.hub.rename(name, new)
            self.numbers[new] = self.numbers.pop(name)
        elif step == "gate" and there:
            self.hub.change(name, gated="auto")
        elif step == "silence":
            self.hub.spoil("/api/models", status=503, times=1)
            with pytest.raises(HubUnavailable):
                self.look()
        elif step == "slow down":
            self.hub.spoil("/api/models", status=429, times=1, headers={"Retry-After": "7"})
            with pytest.raises(Throttled) as throttled:
                self.look()
            assert throttled.value.retry_after_s == 7
        elif step == "kill and look":
            self.ledger.close()
            self.ledger = Ledger(self.folder / "ledger.db", self.clock)
            self.look()
        elif step == "look":
            self.look()

    def look(self) -> None:
        watch = HubWatch(self.settings, self.ledger)
        try:
            watch.look("hub:acme")
        finally:
            watch.close()
        listed = {repo: sha for repo, sha in self.listed().items() if repo != ANCHOR}
        now = {self.numbers[repo]: (repo, sha) for repo, sha in listed.items()}
        for number, about in now.items():
            if number in self.seen:
                self.cards[self.card_of[number]] = about  # pushed to or renamed: the same card goes along
            elif (old := self.card_of.get(number)) is None or self.cards[old] != about:
                self.card_of[number] = len(self.cards)
                self.cards[len(self.cards)] = about
        self.seen = set(now)
        self.compare(set(now.values()))

    def compare(self, listed: set[tuple[str, str]]) -> None:
        """The ledger knows exactly what was ever seen, each once; open are exactly those that are there now."""
        every = queries.releases_in(self.ledger.connection, *releases.RELEASE.table)
        assert sorted((r.repo, r.revision) for r in every) == sorted(self.cards.values())
        assert {(r.repo, r.revision) for r in every if r.state in OPEN} == listed
        announced = [e for e in queries.events_after(self.ledger.connection, 0, 10_000) if e.kind == "release.found"]
        assert len(announced) == len(every)


def play(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Hub(Path(folder) / "hub") as hub:
        hub.publish({"config.json": "{}"}, ANCHOR)
        bench = Bench(Path(folder), hub)
        try:
            bench.look()
            for step, name in steps:
                bench.do(step, name)
            bench.look()
        finally:
            bench.ledger.close()


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=16))
def test_every_history_is_announced_once_and_wholly(steps: list) -> None:
    """Created, made public, pushed to, deleted, renamed, in any order, with kills and outages between: none missed."""
    play(steps)


def test_a_commit_that_comes_back_is_offered_again() -> None:
    """Published too early, taken private, published again as it was: the second time counts."""
    a = NAMES[0]
    play([("publish", a), ("look", a), ("go private", a), ("look", a), ("go public", a)])


def test_what_a_person_decided_about_is_left_alone(tmp_path: Path) -> None:
    """A push to a skipped or an approved model changes nothing about that decision, and is no new card."""
    with Hub(tmp_path / "hub") as hub:
        hub.publish({"config.json": "{}"}, ANCHOR)
        bench = Bench(tmp_path, hub)
        bench.look()
        bench.do("publish", "acme/a")
        bench.look()
        (release,) = queries.releases_in(bench.ledger.connection, *OPEN)
        bench.ledger.move_release(release, "skipped")
        hub.push("acme/a", bench.files())
        HubWatch(bench.settings, bench.ledger).look("hub:acme")
        assert [r.state for r in queries.releases_in(bench.ledger.connection, *releases.RELEASE.table)] == ["SKIPPED"]
        bench.ledger.close()


def test_an_empty_answer_about_many_is_not_believed(tmp_path: Path) -> None:
    """Everything gone at once withdraws nothing; when it is back, nothing is news."""
    with Hub(tmp_path / "hub") as hub:
        for name in NAMES:
            hub.publish({"config.json": "{}"}, name)
        bench = Bench(tmp_path, hub)
        watch = HubWatch(bench.settings, bench.ledger)
        assert watch.look("hub:acme") == 0
        for name in NAMES:
            hub.change(name, private=True)
        with pytest.raises(HubUnavailable, match="not believed"):
            watch.look("hub:acme")
        for name in NAMES:
            hub.make_public(name)
        assert watch.look("hub:acme") == 0
        bench.ledger.close()


def test_a_single_repository_is_watched_by_name(tmp_path: Path) -> None:
    """hub:org/name: its pushes are followed while nobody has decided; its end is said with a next step."""
    with Hub(tmp_path / "hub") as hub:
        hub.publish({"config.json": "{}"}, "acme/a", created_at="2200-01-01T00:00:00.000Z")
        bench = Bench(tmp_path, hub)
        watch = HubWatch(bench.settings, bench.ledger)
        assert watch.look("hub:acme/a") == 1
        hub.push("acme/a", bench.files())
        watch.look("hub:acme/a")
        states = [r.state for r in queries.releases_in(bench.ledger.connection, *releases.RELEASE.table)]
        assert states == ["FOUND"]
        hub.rename("acme/a", "acme/b")
        watch.look("hub:acme/a")
        (release,) = queries.releases_in(bench.ledger.connection, *releases.RELEASE.table)
        assert (release.repo, release.state) == ("acme/b", "FOUND")
        hub.delete("acme/b")
        watch.look("hub:acme/a")
        (release,) = queries.releases_in(bench.ledger.connection, *releases.RELEASE.table)
        assert release.state == "WITHDRAWN"
        with pytest.raises(UnknownModel) as unknown:
            watch.look("hub:acme/a")
        assert "[watch]" in unknown.value.next_step
        bench.ledger.close()
