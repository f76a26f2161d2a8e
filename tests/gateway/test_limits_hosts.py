"""Limits of keys that several hosts know: all together never use more, over one real Postgres."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import keys
from gateway.auth import shares, windows
from gateway.auth.limiter import Limiter
from gateway.auth.limits import Limits
from gateway.auth.refusal import OverLimit, Short
from gateway.shared.dealing import Holding, deal
from gateway.shared.leasing import BURIED_S, Leasing
from gateway.shared.postgres import Connection
from gateway.store import connect, open_store
from lab.postgres.server import Server, missing, temporary
from lifecycle.settings import Shared
from tests.gateway.backend import Backend
from tests.gateway.stores import fresh_database
from tests.gateway.test_limits_board import call, key
from tests.gateway.test_postgres_hosts import Host
from tests.gateway.world import Ledger
from tests.waiting import until

NEEDS_POSTGRES = pytest.mark.skipif(bool(missing()), reason=missing())


@given(
    st.integers(1, 500),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.booleans(), st.booleans()), max_size=60),
    st.booleans(),
)
def test_what_is_dealt_is_never_more_than_there_is(limit: int, steps: list, budget: bool) -> None:
    """Whoever asks for how much in which order: no more is shared out than there is, what was used stays."""
    hosts = [Holding(0, 0) for _ in range(4)]
    for which, want, busy, turn in steps:
        mine = hosts[which]
        others = [one for n, one in enumerate(hosts) if n != which]
        share = deal(limit, Holding(mine.share, mine.used, want), others, 4, budget=budget, busy=busy, turn=turn)
        assert share >= mine.used
        used = min(share, mine.used + want)
        hosts[which] = Holding(share, used, mine.used + want - used)
        assert sum(one.share for one in hosts) <= limit


def test_one_who_waits_gets_all_that_nobody_used() -> None:
    """Two hosts whose calls need nearly the whole limit: each gives back what it holds ahead, and one gets it all."""
    hosts, turns = [Holding(500, 0, 900), Holding(500, 0, 900)], 0
    for n in range(6):
        mine, other = hosts[n % 2], hosts[1 - n % 2]
        share = deal(1000, mine, [other], 2, budget=False, busy=True, turn=n % 2 == 0)
        hosts[n % 2] = Holding(share, 0, 900)
        turns += share >= 900
    assert turns > 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as server:
        yield server


@pytest.fixture
def shared(server: Server) -> Iterator[Shared]:
    with fresh_database(server, "limits") as where:
        yield where


class Clock:
    """Of all hosts; turned by hand. It begins at noon of this day: Postgres has a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = windows.day_began(time.time()) + 43200
        monkeypatch.setattr(shares, "milliseconds", lambda: int(self.now * 1000))

    def __call__(self) -> float:
        return self.now


class Desk:
    """A host without its server: a board, a limiter and what moves its shares."""

    def __init__(self, folder: Path, store: Connection, clock: Clock, strict: bool = False):
        folder.mkdir(exist_ok=True)
        open_store(folder / "gateway.db").close()
        board = folder / "limits.board"
        self.limiter = Limiter(board, folder / "gateway.db", clock, lambda *_: None, shared=True, strict=strict)
        self.leasing = Leasing(board, clock, shares.milliseconds)
        self.store = store
        self.clock = clock

    def round(self) -> None:
        self.leasing.round(self.store)

    def ask(self, limits: Limits, prompt: int = 6, answer: int = 4) -> object | None:
        """The call, when it was let in."""
        asked = call(key(limits), prompt, answer)
        asked.at = self.clock()
        try:
            self.limiter.before(asked)
        except (Short, OverLimit):
            return None
        return asked

    def insist(self, limits: Limits, others: tuple["Desk", ...] = (), **more: int) -> object | None:
        """As a call that waits while rounds go on."""
        for _ in range(8):
            if (asked := self.ask(limits, **more)) is not None:
                return asked
            for one in (self, *others):
                one.round()
        return None

    def close(self) -> None:
        self.leasing.close()
        self.limiter.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def desks(tmp_path: Path, shared: Shared, clock: Clock) -> Iterator[tuple[Desk, Desk]]:
    with contextlib.closing(connect(shared)) as store:
        found = [Desk(tmp_path / name, store, clock) for name in ("one", "two")]
        yield found[0], found[1]
        for one in found:
            one.close()


ACTS = st.tuples(st.sampled_from(["ask", "ask", "ask", "round", "round", "pass"]), st.integers(0, 1), st.floats(0, 20))


@NEEDS_POSTGRES
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, min_size=20, max_size=80), st.integers(1, 12))
def test_no_minute_of_all_hosts_sees_more_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory, server: Server, monkeypatch: pytest.MonkeyPatch, acts: list, most: int
) -> None:
    """Calls, rounds and time in any order, on two hosts: within any 60 seconds at most so many are let in."""
    clock, let_in, limits = Clock(monkeypatch), [], Limits(requests_per_minute=most)
    with fresh_database(server, "any") as where, contextlib.closing(connect(where)) as store:
        folder = tmp_path_factory.mktemp("any")
        found = [Desk(folder / name, store, clock) for name in ("one", "two")]
        for act, which, seconds in acts:
            if act == "pass":
                clock.now += seconds
            elif act == "round":
                found[which].round()
            elif found[which].ask(limits) is not None:
                let_in.append(clock.now)
        for one in found:
            one.close()
    for began in let_in:
        assert sum(began <= at < began + 60 for at in let_in) <= most


@NEEDS_POSTGRES
@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        (Limits(requests_per_minute=1), 1),
        (Limits(requests_per_minute=7), 7),
        (Limits(tokens_per_minute=75), 7),
        (Limits(tokens_per_day=75), 7),
        (Limits(tokens_per_month=75, requests_per_minute=50), 7),
    ],
)
def test_all_of_a_limit_can_be_used_wherever_it_is_asked(desks: tuple[Desk, Desk], limits: Limits, fits: int) -> None:
    """Shares go to where the calls are, in turns and down to the last; one more is refused by both, and at once."""
    one, two = desks
    used = [desk.insist(limits, (other,)) for desk, other in ((one, two), (two, one)) * 8]
    assert sum(asked is not None for asked in used) == fits
    for desk in desks:
        with pytest.raises(OverLimit) as refused:
            desk.limiter.before(call(key(limits), 6, 4))
        assert refused.value.retry_after_s >= 1


@NEEDS_POSTGRES
def test_a_budget_knows_what_was_used_before_and_what_calls_gave_back(desks: tuple[Desk, Desk], clock: Clock) -> None:
    """What was reserved and not used is free for the other host; the next day everything is."""
    one, two = desks
    limits = Limits(tokens_per_day=100)
    asked = one.insist(limits, (two,), prompt=10, answer=80)
    assert two.insist(limits, (one,), prompt=10, answer=10) is None
    asked.count({"prompt_tokens": 10, "completion_tokens": 20})
    one.limiter.after(asked)
    assert two.insist(limits, (one,), prompt=10, answer=50) is not None
    assert one.insist(limits, (two,), prompt=10, answer=10) is None
    clock.now += 86400
    assert one.insist(limits, (two,), prompt=10, answer=80) is not None


@NEEDS_POSTGRES
def test_a_host_that_died_holds_its_minute_no_longer_and_its_budget_until_the_end(
    desks: tuple[Desk, Desk], clock: Clock
) -> None:
    """What it may have used in its last minute counts until nobody can have; of a budget, what it had counts on."""
    one, two = desks
    limits = Limits(requests_per_minute=5, tokens_per_day=100)
    assert all(one.insist(limits, (two,)) for _ in range(5))
    assert two.insist(limits) is None
    clock.now += windows.WINDOW_S
    assert two.insist(limits) is None, "it may live on, unseen"
    one.store.execute("UPDATE limit_hosts SET seen_at = seen_at - ?", (BURIED_S,))
    assert all(two.insist(limits) for _ in range(4))
    assert two.insist(limits) is None, "50 and 40 of the day's 100 are used, and one may be held there"


@NEEDS_POSTGRES
def test_while_the_database_is_away(tmp_path: Path, shared: Shared, clock: Clock) -> None:
    """Shares hold for ten seconds. Then each host has an equal part, or, where limits are strict, nothing of a minute;
    a budget's share is the host's own for as long as it takes."""
    limits = Limits(requests_per_minute=10, tokens_per_day=1000)
    with contextlib.closing(connect(shared)) as store, contextlib.ExitStack() as stack:
        found = [Desk(tmp_path / str(strict), store, clock, strict) for strict in (False, True)]
        for desk in found:
            stack.callback(desk.close)
            assert desk.insist(limits, tuple(other for other in found if other is not desk))
        for desk in found:
            desk.leasing.away()
        clock.now += 9
        for desk in found:
            assert desk.ask(limits)
        clock.now += 2
        parts = [sum(desk.ask(limits) is not None for _ in range(10)) for desk in found]
        assert parts == [5 - 2, 0]
        with pytest.raises(OverLimit):
            found[1].limiter.before(call(key(limits)))
        assert found[1].insist(limits, (found[0],)) is not None


@NEEDS_POSTGRES
def test_two_gateways_let_in_exactly_as_many_as_the_limit_says(tmp_path: Path, shared: Shared) -> None:
    """Threads hammer both until the limit is used up; one is killed meanwhile and started again: not one too many."""
    most = 60
    first, second = Host(tmp_path / "one", shared, False), Host(tmp_path / "two", shared, True)
    with contextlib.ExitStack() as stack:
        ledger = Ledger(first.settings.ledger_path)
        stack.callback(ledger.close)
        backend = Backend("/w").start()
        stack.callback(backend.stop)
        ledger.deploy("one", "org/one")
        ledger.serve("one", backend.url, "/w")
        gateways = [first.run(), second.run()]
        stack.callback(lambda: [gateway.stop() for gateway in gateways])
        with contextlib.closing(open_store(shared)) as db:
            secret = keys.issue(db, "alice", ["stable"], limits=Limits(requests_per_minute=most))
        headers = {"authorization": f"Bearer {secret}"}
        body = {"model": "org/one", "messages": [{"role": "user", "content": "Where is Brno?"}]}

        def ask(client: httpx.Client, which: int) -> int:
            return client.post(f"{gateways[which].url}/v1/chat/completions", json=body, headers=headers).status_code

        said: list[int] = []
        ended = threading.Event()

        def hammer(which: int) -> None:
            with httpx.Client(timeout=30) as client:
                while not ended.is_set():
                    with contextlib.suppress(httpx.TransportError):
                        said.append(ask(client, which))

        with httpx.Client(timeout=30) as client:
            for which in (0, 1):
                until(lambda which=which: ask(client, which) in (200, 429), 30, "the key and the model to be known")
        threads = [threading.Thread(target=hammer, args=(n % 2,)) for n in range(4)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        until(lambda: len(backend.seen) > most // 2, 30, "half of it to be used")
        gateways[1].kill()
        gateways[1] = second.run()
        until(lambda: len(backend.seen) >= most or time.monotonic() - began > 40, 50, "the rest to be used")
        refused = said.count(429)
        until(lambda: said.count(429) > refused + 20, 30, "refusals")
        ended.set()
        for thread in threads:
            thread.join(30)
        if time.monotonic() - began < 55:
            assert len(backend.seen) <= most
        assert most - 5 <= len(backend.seen)
