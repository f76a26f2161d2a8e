"""Seats: more requests than servers take wait in line, are refused with a position, and lose nothing when all moves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.auth.key import Key
from gateway.call import CHAT, Call
from gateway.errors import ApiError
from gateway.replicas import Fleet
from gateway.routing import Endpoint, Served, Table
from gateway.seats import Seats
from lifecycle.sections.gateway import Queue

E1 = Endpoint(1, "http://127.0.0.1:1", "/w", "vllm", 0.0)
E2 = Endpoint(2, "http://127.0.0.1:2", "/w", "vllm", 0.0)
ONE = Served("d1", "org/m", "abc", "stable", 0.0, 1.0, 8, (E1,))


class Place:
    """A fleet with one deployment, and the seats before it."""

    def __init__(self, **queue: float):
        self.fleet = Fleet(self._probe)
        self.seats = Seats(self.fleet, Queue(**{"per_server": 1, "length": 2, "patience_s": 30, **queue}), workers=1)
        self.fleet.on_change = lambda replica: self.seats.look()
        self.healed = asyncio.Event()
        self.table(ONE)

    async def _probe(self, endpoint: Endpoint) -> bool:
        await self.healed.wait()
        return True

    def table(self, *served: Served) -> None:
        self._table = Table.of(1, served)
        self.fleet.update(self._table)
        self.seats.look()

    def take(self, key: int = 1, priority: int = 0, hold_s: float = 0.0, tried: tuple = ()) -> asyncio.Task:
        caller = Key(key, "dz-0", "k", "", frozenset({"stable"}), 0.0, "", None, None)
        call = Call(CHAT, caller, "org/m", {}, False, False)
        call.priority = priority

        def find() -> tuple[Served, ...]:
            return self._table.find("org/m", caller.tags)

        return asyncio.create_task(self.seats.take(call, find, tried, hold_s))


def tell(story: Callable[[Place], Awaitable[None]], **queue: float) -> None:
    async def run() -> None:
        place = Place(**queue)
        async with asyncio.timeout(30):
            await story(place)
        place.fleet.close()
        assert not place.seats._lines

    asyncio.run(run())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_finds_no_seat_waits_for_his_turn() -> None:
    """One works, two wait; each gets the seat when the one before leaves it, and no newcomer is faster."""

    async def story(place: Place) -> None:
        first = await place.take()
        second, third = place.take(), place.take()
        await settle()
        assert not second.done() and place.seats.waiting() == {"d1": 2}
        first.leave()
        newcomer = place.take()
        (await second).leave()
        (await third).leave()
        (await newcomer).leave()
        assert first.replica.inflight == 0

    tell(story, length=3)


def test_a_full_line_says_429_with_position_and_time() -> None:
    """Number three of a line for two is told so, with when to come back; a higher priority takes the last place."""

    async def story(place: Place) -> None:
        first = await place.take()
        second, third = place.take(), place.take()
        await settle()
        with pytest.raises(ApiError) as refused:
            await place.take()
        assert refused.value.status == 429 and refused.value.retry_after_s >= 1 and "number 3" in str(refused.value)
        urgent = place.take(priority=9)
        with pytest.raises(ApiError, match="full"):
            await third
        first.leave()
        await settle()
        assert urgent.done() and not second.done()
        (await urgent).leave()
        (await second).leave()

    tell(story)


def test_keys_take_turns() -> None:
    """A key that fills the line gives its last place to another key, whose turn comes second."""

    async def story(place: Place) -> None:
        first = await place.take(key=1)
        greedy = [place.take(key=1) for _ in range(2)]
        await settle()
        modest = place.take(key=2)
        with pytest.raises(ApiError):
            await greedy[1]
        first.leave()
        (await greedy[0]).leave()
        (await modest).leave()

    tell(story)


def test_patience_ends() -> None:
    """Who waited as long as the settings say gets a 429, and stands in nobody's way any more."""

    async def story(place: Place) -> None:
        first = await place.take()
        with pytest.raises(ApiError, match="became free") as refused:
            await place.take()
        assert refused.value.status == 429 and refused.value.retry_after_s
        first.leave()
        (await place.take()).leave()

    tell(story, patience_s=0.05)


def test_a_caller_who_goes_away_leaves_the_line() -> None:
    """Also in the very moment in which he is given a seat: it is free for the next one."""

    async def story(place: Place) -> None:
        first = await place.take()
        second, third = place.take(), place.take()
        await settle()
        first.leave()  # gives the seat to the second
        second.cancel()
        (await third).leave()
        assert second.cancelled()
        fourth = await place.take()
        fifth = place.take()
        await settle()
        fifth.cancel()
        await settle()
        assert place.seats.waiting() == {}
        fourth.leave()
        assert first.replica.inflight == 0

    tell(story)


def test_a_new_server_takes_those_who_wait() -> None:
    """In the turn of the loop in which the table brings it; a drained one gets nobody any more."""

    async def story(place: Place) -> None:
        first = await place.take()
        second, third = place.take(), place.take()
        await settle()
        place.table(replace(ONE, endpoints=(E2,)))
        seat = await second
        assert seat.replica.endpoint == E2
        first.leave()
        await settle()
        assert not third.done()
        seat.leave()
        (await third).leave()

    tell(story)


def test_when_the_last_server_is_gone_nobody_waits_for_it() -> None:
    """They hear at once that no server answers, without a setting that says to wait."""

    async def story(place: Place) -> None:
        first = await place.take()
        second = place.take()
        await settle()
        place.fleet.failed(first.replica, "connection refused")
        assert await second is None
        assert await place.take() is None
        first.leave()

    tell(story)


def test_held_calls_wait_for_a_server_that_sleeps() -> None:
    """With `hold_s` a call waits for the first endpoint; when none comes it is told so after that time."""

    async def story(place: Place) -> None:
        place.table(replace(ONE, endpoints=(), wake_s=60.0))
        assert await place.take() is None
        held = place.take(hold_s=30)
        await settle()
        assert not held.done()
        place.table(ONE)
        (await held).leave()
        place.table(replace(ONE, endpoints=()))
        assert await place.take(hold_s=0.05) is None

    tell(story)


def test_the_limit_is_the_models_and_shared_by_the_workers() -> None:
    """A pattern names another limit than the common one; of 10 seats each of 4 workers has two."""

    async def story(place: Place) -> None:
        place.seats = Seats(place.fleet, Queue(per_server=1, models={"org/*": 10}), workers=4)
        seats = [await place.take() for _ in range(2)]
        waits = place.take()
        await settle()
        assert not waits.done()
        for seat in seats:
            seat.leave()
        (await waits).leave()

    tell(story)


def test_a_session_stays_with_its_deployment_and_others_go_by_weight() -> None:
    """A canary with a quarter of the weight gets about a quarter of the sessions, each of them always."""

    async def story(place: Place) -> None:
        canary = replace(ONE, id="d2", endpoints=(E2,), weight=1.0)
        place.seats = Seats(place.fleet, Queue(), workers=1)
        place.table(replace(ONE, weight=3.0), canary)
        went = {}
        for n in range(400):
            call = Call(CHAT, None, "org/m", {}, False, False)
            call.session = b"session %d" % n
            chosen = set()
            for _ in range(3):
                seat = await place.seats.take(call, lambda: place._table.served, ())
                chosen.add(seat.served.id)
                seat.leave()
            (went[n],) = chosen
        assert 60 < sum(id == "d2" for id in went.values()) < 140

    tell(story)
