"""Servers come and go, tags move, weights change, under load, in two workers: each takes it over, no call is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.live import EVERY_S
from gateway.registry import Registry
from lifecycle.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.traffic import Traffic
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until


class Place:
    def __init__(self, folder: Path):
        self.settings: Settings = configure(folder)
        file = folder / "dayzero.toml"
        file.write_text(file.read_text() + "workers = 2\n")
        self.ledger = Ledger(self.settings.ledger_path)
        self.backends = [Backend("/w").start() for _ in range(3)]
        self.ledger.deploy("old", "org/old")
        self.first = self.ledger.serve("old", self.backends[0].url, "/w")
        self.gateway = Gateway(folder)
        self.registry = Registry(self.settings)
        until(lambda: len(self.registry.generations()) == 2, 60, "two workers")

    def settle(self) -> None:
        generation = self.ledger.generation
        until(lambda: len(self.registry.generations()) == 2 and self.registry.serves(generation), 60, "all workers")

    def seen(self) -> list[int]:
        return [len(backend.seen) for backend in self.backends]

    def close(self) -> None:
        self.gateway.stop()
        for backend in self.backends:
            backend.stop()
        self.ledger.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def test_changes_are_taken_over_without_losing_a_call(place: Place) -> None:
    """A new endpoint, a drain, a canary's weight, a tag that moves: each is live in both workers, and no call fails."""
    assert EVERY_S < 0.5, "a worker must see a change within a second"
    key = new_key(place.settings, "stable")
    whole = Traffic(place.gateway, key, "org/old")
    streams = Traffic(place.gateway, key, "stable", stream=True)

    def some_more() -> None:
        wanted = whole.answered + 5, streams.answered + 5
        until(lambda: whole.answered >= wanted[0] and streams.answered >= wanted[1], 60, "more calls")

    some_more()
    second = place.ledger.serve("old", place.backends[1].url, "/w")  # a new endpoint
    place.settle()
    some_more()
    place.ledger.drain(place.first)  # and the first one goes
    place.settle()
    some_more()
    gone = place.seen()[0]
    some_more()
    assert place.seen()[0] == gone and place.seen()[1] > 0
    place.ledger.deploy("new", "org/new")  # the tag moves on to another model
    place.ledger.serve("new", place.backends[2].url, "/w")
    place.settle()
    some_more()
    before = place.seen()
    some_more()
    after = place.seen()
    assert after[2] > before[2] and after[1] > before[1]  # `stable` there, `org/old` still here
    place.ledger.serve("old", place.backends[2].url, "/w")
    place.ledger.drain(second)
    place.settle()
    some_more()
    whole.stop()
    streams.stop()
    assert whole.failed == [] and streams.failed == []
