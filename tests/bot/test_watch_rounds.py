"""Rounds of watching: nobody waits for a slow or failing source, the door's 'too often' holds for all behind it."""

import random
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.hub_answers import rest
from bot.watch import rounds
from bot.watch.errands import Errands
from bot.watch.github import GithubWatch
from bot.watch.hub import HubWatch
from bot.watch.rounds import Rounds
from lab.github.server import GitHub
from lab.hub.server import Hub
from lifecycle import queries, releases, watching
from lifecycle.errors import DayzeroError, HubUnavailable, Throttled, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings
from tests.waiting import until

EVERY = 600.0


class Door:
    """A watch over sources that answer as told: an exception, a lock to wait for, or nothing new."""

    name = "door"
    every_s = EVERY

    def __init__(self, ledger: Ledger, names: list[str]):
        self.ledger = ledger
        self.sources = names
        self.answers: dict[str, Exception | threading.Event] = {}
        self.asked: list[str] = []

    def rest_s(self) -> float:
        return 0.0

    def before(self, source: str) -> None:
        return None

    def fetch(self, source: str, before: None) -> None:
        self.asked.append(source)
        answer = self.answers.get(source)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            assert answer.wait(60)

    def absorb(self, source: str, before: None, seen: None) -> int:
        watching.looked(self.ledger, source, {"seen": True}, 0)
        return 1


class Desk:
    """A door, its rounds, and a clock that the test turns."""

    def __init__(self, folder: Path, names: str = "a b c"):
        self.now = 1_000_000.0
        self.ledger = Ledger(folder / "ledger.db", lambda: self.now)
        self.door = Door(self.ledger, names.split())
        self.rounds = Rounds(self.ledger, self.door, random.Random(1))

    def due_in(self, source: str) -> float:
        row = self.ledger.connection.execute("SELECT due_at FROM watches WHERE source = ?", (source,)).fetchone()
        return row[0] - self.now

    def told(self) -> list[tuple[str, str]]:
        events = queries.events_after(self.ledger.connection, 0)
        return [(e.kind, e.detail["source"]) for e in events if e.kind.startswith("note.watch")]


@pytest.fixture
def desk(tmp_path: Path):
    desk = Desk(tmp_path)
    yield desk
    desk.rounds.close()
    desk.ledger.close()


def test_a_slow_source_delays_no_other(desk: Desk) -> None:
    """`a` gives no answer: `b` and `c` are taken in and are due again in time; `a` counts when it comes, once."""
    held = desk.door.answers["a"] = threading.Event()
    found = 0

    def others(wanted: int) -> bool:
        nonlocal found
        found += desk.rounds.step(patience_s=0.2)
        return found >= wanted

    until(lambda: others(2), 60, "b and c")
    desk.now += 2 * EVERY
    until(lambda: others(4), 60, "b and c, once more")
    assert found == 4 and desk.door.asked.count("a") == 1, "it is not asked again while it is being asked"
    held.set()
    until(lambda: others(5), 60, "the answer of a")
    assert found == 5


def test_the_next_look_is_jittered(desk: Desk) -> None:
    """Within a tenth of the interval, and not the same for all: a thousand watchers don't knock together."""
    desk.rounds.step()
    dues = [desk.due_in(name) for name in "abc"]
    assert all(0.9 * EVERY <= due <= 1.1 * EVERY for due in dues) and len(set(dues)) == 3


def test_too_often_is_meant_for_all(desk: Desk) -> None:
    """After a 429 nothing is asked until its time is over, by none of the sources; nobody is bothered with it."""
    desk.door.answers["b"] = Throttled("Slowly.", retry_after_s=120)
    desk.rounds.step()
    desk.ledger.connection.execute("UPDATE watches SET due_at = 0")
    desk.door.asked.clear()
    desk.now += 119
    desk.rounds.step()
    assert desk.door.asked == []
    desk.now += 2
    desk.door.answers.clear()
    assert desk.rounds.step() == 3 and desk.told() == []


def test_failures_back_off_up_to_the_interval(desk: Desk) -> None:
    """About 30 s, 60 s, 120 s ... and never longer than an ordinary round; one success and it begins anew."""
    desk.door.answers["a"] = HubUnavailable("Down.")
    pauses = []
    for _ in range(7):
        desk.rounds.step()
        pauses.append(desk.due_in("a"))
        desk.now += pauses[-1]
    wanted = [30, 60, 120, 240, 480, 600, 600]
    assert all(0.9 * want <= got <= 1.1 * want for want, got in zip(wanted, pauses, strict=True))
    desk.door.answers.clear()
    desk.rounds.step()
    desk.door.answers["a"] = HubUnavailable("Down.", retry_after_s=1000)
    desk.now += 2 * EVERY
    desk.rounds.step()
    assert desk.due_in("a") == 1000, "when it says how long, it is believed"


def test_a_hiccup_is_not_spoken_of_an_outage_is_once(desk: Desk) -> None:
    """One source for three rounds: it is named. All of them: only the door is. Each once, and each return, too."""
    desk.rounds.step()
    desk.door.answers["a"] = HubUnavailable("Down.")
    for minutes in range(120):
        desk.now += 60
        desk.rounds.step()
        assert minutes > 28 or desk.told() == []
    assert desk.told() == [("note.watch_failed", "a")]
    desk.door.answers.clear()
    desk.now += EVERY
    desk.rounds.step()
    assert desk.told()[1:] == [("note.watch_back", "a")]
    desk.door.answers = dict.fromkeys("abc", HubUnavailable("All is dark."))
    for _ in range(120):
        desk.now += 60
        desk.rounds.step()
    assert desk.told()[2:] == [("note.watch_failed", "door")]
    desk.door.answers.clear()
    desk.now += 2 * EVERY
    desk.rounds.step()
    assert desk.told()[3:] == [("note.watch_back", "door")]


def test_what_a_person_must_mend_is_said_at_once(desk: Desk) -> None:
    """A repository that is not there: said, once, and asked again at the ordinary pace."""
    desk.door.answers["a"] = UnknownModel("No such.", "Look at [watch].")
    for _ in range(3):
        desk.rounds.step()
        desk.now += 1.2 * EVERY
    assert desk.told() == [("note.watch_failed", "a")]


def test_a_look_that_stumbles_stops_no_other(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is logged, and counts as a failure of that source alone."""
    desk.door.answers["a"] = KeyError("what?")
    assert desk.rounds.step() == 2 and "stumbled" in caplog.text
    assert desk.due_in("a") < EVERY / 2


def test_errands_come_back_each_once() -> None:
    """More than there are threads; a second of the same key is refused while the first is away."""
    errands, gate = Errands("test", 2), threading.Event()
    errands.send("held", lambda: gate.wait(60))
    with pytest.raises(ValueError, match="away"):
        errands.send("held", lambda: None)
    for n in range(5):
        errands.send(str(n), lambda n=n: n * n)
    back = [errands.back(30) for _ in range(5)]
    assert sorted(result for _, result, _ in back) == [0, 1, 4, 9, 16] and errands.away == {"held"}
    assert errands.back(0) is None
    gate.set()
    assert errands.back(30) == ("held", True, None) and not errands.away
    errands.close()


@given(st.integers(0, 500), st.integers(1, 300), st.sampled_from([100, 500, 1000]))
def test_a_reserve_is_left_for_others(left: int, seconds: int, quota: int) -> None:
    """In the last tenth of a window we rest until it ends; without the Hub's numbers, never."""
    told = {"RateLimit": f'"api";r={left};t={seconds}', "RateLimit-Policy": f'"fixed window";"api";q={quota};w=300'}
    assert rest(told) == (float(seconds) if left <= quota / 10 else None)
    assert rest({}) is None and rest({"RateLimit": told["RateLimit"]}) is None


def hub_watch(folder: Path, hub: Hub, *organisations: str) -> tuple[HubWatch, Ledger]:
    settings = {"hub": {"endpoint": hub.url}, "watch": {"organizations": organisations, "announce_since_days": 99999}}
    ledger = Ledger(folder / "ledger.db", lambda: 4_000_000_000.0)
    return HubWatch(Settings.model_validate(settings), ledger), ledger


def test_the_hubs_own_limit_is_minded(tmp_path: Path) -> None:
    """Twenty organisations and a window of ten requests: few are asked in vain, all are seen in three."""
    names = [f"org{n}" for n in range(20)]
    with Hub(tmp_path / "hub", quota=10, window=3600) as hub:
        for name in names:
            hub.publish({"config.json": "{}"}, f"{name}/m")
        watch, ledger = hub_watch(tmp_path, hub, *names)
        line = Rounds(ledger, watch, random.Random(1))
        for window in range(3):
            line.step()
            hub.limit(10, 3600)  # the next window
            watch._pages._rest_until = 0.0
            line._quiet_until = 0.0
            ledger.connection.execute("UPDATE watches SET due_at = 0 WHERE polled_at IS NULL")
            ledger.connection.execute("UPDATE watches SET due_at = 9e9 WHERE polled_at IS NOT NULL")
            if window == 0:
                assert len(hub.requests("GET /api/models")) <= 10 + rounds.WORKERS
        assert len(queries.releases_in(ledger.connection, releases.FOUND)) == 20
        line.close()
        watch.close()
        ledger.close()


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that drips for ever, and one that is no JSON: each is a failure with a sentence, not a wait."""
    monkeypatch.setattr("bot.watch.listing.WHOLE_S", 0.2)
    with Hub(tmp_path / "hub") as hub:
        for n in range(30):
            hub.publish({"config.json": "{}"}, f"acme/m{n}")
        watch, ledger = hub_watch(tmp_path, hub, "acme")
        hub.spoil("/api/models", bytes_per_s=2000)
        with pytest.raises(HubUnavailable, match="no end"):
            watch.look("hub:acme")
        hub.spoil("/api/models", status=200, body=None, cut_after=5)
        with pytest.raises(HubUnavailable):
            watch.look("hub:acme")
        watch.close()
        ledger.close()


def test_githubs_limits_are_obeyed(tmp_path: Path) -> None:
    """The secondary limit by its Retry-After; a spent hour by its reset, and before it is hit a second time."""
    with GitHub(anonymous_limit=2) as github:
        github.add_repo("a/b")
        ledger = Ledger(tmp_path / "ledger.db", lambda: 1_000_000.0)
        watch = GithubWatch(
            Settings.model_validate({"github": {"endpoint": github.url, "repositories": ["a/b"]}}), ledger
        )
        github.limit_secondary(retry_after=9)
        with pytest.raises(Throttled) as slow:
            watch.look("github:a/b")
        assert slow.value.retry_after_s == 9 and watch.rest_s() == 0
        watch.look("github:a/b")
        watch.look("github:a/b")
        assert 0 < watch.rest_s() <= 3605, "that was the last of the hour"
        with pytest.raises(DayzeroError) as spent:
            watch.look("github:a/b")
        assert 0 < spent.value.retry_after_s <= 3605 and "GITHUB_TOKEN" in spent.value.next_step
        watch.close()
        ledger.close()
