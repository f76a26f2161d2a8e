"""What callers ask for, from the workers to who scales: a gateway with short lines, and a model that sleeps."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import demand
from gateway.demand import ASKED, LOAD, WANTED
from gateway.store import connect, open_store
from lifecycle.demand import Demand
from tests.gateway.backend import Backend
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
QUEUE = '[gateway.queue]\nper_server = 1\nlength = 1\nhold_s = {hold}\n[gateway.aliases]\nlatest-org = "org/*"\n'


class Place:
    def __init__(self, folder: Path, hold_s: float = 0.0):
        self.settings = configure(folder)
        file = folder / "dayzero.toml"
        file.write_text(file.read_text() + QUEUE.format(hold=hold_s))
        self.ledger = Ledger(self.settings.ledger_path)
        self.backend = Backend("/w").start()
        self.ledger.deploy("one", "org/one")
        self.gateway = Gateway(folder)
        self.key = new_key(self.settings, "stable")
        self._db = sqlite3.connect(self.settings.ledger_path, isolation_level=None)

    def sleep(self, wake_s: float) -> None:
        self._db.execute("UPDATE deployments SET asleep_since = 1, load_s = ? WHERE id = 'one'", (wake_s,))

    def wake(self) -> None:
        self.ledger.serve("one", self.backend.url, "/w")
        self._db.execute("UPDATE deployments SET asleep_since = NULL WHERE id = 'one'")

    def ask(self, model: str = "org/one", **headers: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}", **headers}
        body = {"model": model, "messages": ASK}
        return httpx.post(f"{self.gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    def demand(self) -> Demand:
        return demand.read(self.settings.gateway_path).get("one", Demand())

    def settle(self) -> None:
        generation = self.ledger.generation
        until(lambda: any(x["generation"] >= generation for x in self.gateway.said("routing")), 30, "the new routing")

    def close(self) -> None:
        self.gateway.stop()
        self.backend.stop()
        self.ledger.close()
        self._db.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


class Asking:
    """One call in a thread."""

    def __init__(self, place: Place):
        self.answer: httpx.Response | None = None
        self._thread = threading.Thread(target=self._run, args=(place,))
        self._thread.start()

    def _run(self, place: Place) -> None:
        self.answer = place.ask()

    def status(self) -> int:
        self._thread.join(60)
        return self.answer.status_code


def test_lines_limits_and_what_is_reported_of_them(place: Place) -> None:
    """One works, one waits, the third hears 429 with its position; who scales sees one and one; all is answered."""
    place.backend.mode = "hold"
    place.wake()
    place.settle()
    first = Asking(place)
    until(lambda: len(place.backend.seen) == 1, 30, "the first at the server")
    second = Asking(place)
    until(lambda: place.demand().waiting == 1 and place.demand().inflight == 1, 30, "one at work and one that waits")
    third = place.ask()
    assert third.status_code == 429 and third.json()["error"]["code"] == "queue_full"
    assert third.headers["x-queue-position"] == "2" and int(third.headers["retry-after"]) >= 1
    assert len(place.backend.seen) == 1
    place.backend.release()
    assert first.status() == second.status() == 200
    assert place.ask("latest-org").json()["model"] == "latest-org"
    until(lambda: place.demand().inflight == place.demand().waiting == 0, 30, "nothing at work any more")
    until(lambda: time.time() - (place.demand().last_request_at or 0) < 60, 30, "when it was asked last")
    assert place.demand().wanted_at is None


def test_a_model_that_sleeps_is_wanted_and_its_caller_told_when(place: Place) -> None:
    """503 with the expected time, and a wish that who scales reads; once it is up, it answers."""
    place.sleep(95)
    place.settle()
    answer = place.ask()
    assert answer.status_code == 503 and answer.headers["retry-after"] == "95"
    assert answer.json()["error"]["code"] == "model_asleep" and "about 95 s" in answer.json()["error"]["message"]
    until(lambda: place.demand().wanted_at, 30, "the wish")
    place.wake()
    place.settle()
    assert place.ask().status_code == 200


def test_a_call_can_be_held_until_the_model_is_up(tmp_path: Path) -> None:
    """With `hold_s` the caller of a sleeping model just waits, and gets its answer."""
    place = Place(tmp_path, hold_s=60)
    try:
        place.sleep(95)
        place.settle()
        held = Asking(place)
        until(lambda: place.demand().waiting == 1, 30, "the call that waits")
        assert place.demand().wanted_at and held.answer is None
        place.wake()
        assert held.status() == 200
    finally:
        place.close()


def test_demand_is_summed_over_workers_and_forgets_the_dead(tmp_path: Path) -> None:
    """Two workers' loads add up; what was said long ago counts no more; the last wish of all counts."""
    path = tmp_path / "gateway.db"
    assert demand.read(path) == {}
    open_store(path).close()
    connection = connect(path)
    now = time.time()
    with connection:
        connection.execute(LOAD, ("a", "one", 3, 1, now))
        connection.execute(LOAD, ("b", "one", 2, 0, now))
        connection.execute(LOAD, ("dead", "one", 9, 9, now - 60))
        connection.execute(WANTED, ("two", 5.0, 5.0))
        connection.execute(ASKED, ("two", 7.0))
        connection.execute(ASKED, ("two", 6.0))
    connection.close()
    assert demand.read(path) == {"one": Demand(5, 1), "two": Demand(0, 0, 7.0, 5.0)}
