"""Seats: a request works at a replica only while it holds one. Who finds none free waits for his turn, within bounds.

A seat that becomes free goes to the first in line before any newcomer sees it. Every change of the fleet (a server came
up, came back, went away) is a reason to look along the lines again.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.affinity import of as affinity_of
from gateway.call import Call
from gateway.choosing import pick
from gateway.errors import ApiError
from gateway.line import Line, Place
from gateway.replicas import Fleet, Replica
from gateway.routing import Served
from lifecycle.sections.gateway import Queue

Find = Callable[[], Sequence[Served]]
"""The deployments that may answer a call, as the routing table has them at this moment."""

LONGEST_WAIT_S = 300


class Seat:
    """`leave` once more than once is harmless."""

    __slots__ = ("_mark", "_seats", "_since", "replica", "served", "share_s")

    def __init__(self, seats: "Seats", served: Served, replica: Replica):
        self._seats = seats
        self._since = time.monotonic()
        self._mark: float | None = replica.enter()
        self.served = served
        self.replica = replica
        self.share_s = 0.0  # of the server's time, once it is left

    def leave(self) -> None:
        if self._mark is not None:
            self.share_s, self._mark = self.replica.leave(self._mark), None
            self.replica.held(time.monotonic() - self._since)
            self._seats.look()


@dataclass(eq=False, slots=True)
class Guest:
    call: Call
    find: Find
    tried: Collection[Replica]
    holds: bool  # waits although no server is there
    turn: asyncio.Future


class Seats:
    def __init__(self, fleet: Fleet, queue: Queue, workers: int):
        self._fleet = fleet
        self._queue = queue
        self._workers = workers
        self._lines: dict[tuple[str, ...], Line[Guest]] = {}
        self._limits: dict[str, int] = {}

    async def take(self, call: Call, find: Find, tried: Collection[Replica], hold_s: float = 0.0) -> Seat | None:
        """A seat at a replica that was not tried. None: no server answers, even after `hold_s`. ApiError(429)."""
        candidates = find()
        line = self._lines.get(_name(candidates)) if self._lines else None
        if line is None:
            if (seat := self._choose(call, candidates, tried)) is not None:
                return seat
            if not hold_s and not self._answers(candidates, tried):
                return None
        return await self._wait(call, find, tried, hold_s)

    def look(self) -> None:
        """Give what is free to those who wait, one of each line at a time."""
        moved = bool(self._lines)
        while moved:
            moved = False
            for name, line in list(self._lines.items()):
                moved = self._serve(line) or moved
                if not line:
                    self._lines.pop(name, None)

    def waiting(self) -> dict[str, int]:
        """By deployment, the first of those that may answer."""
        return {name[0]: len(line) for name, line in self._lines.items() if name}

    def _serve(self, line: Line[Guest]) -> bool:
        if (place := line.first()) is None:
            return False
        guest = place.guest
        candidates = guest.find()
        seat = self._choose(guest.call, candidates, guest.tried)
        if seat is None and (guest.holds or self._answers(candidates, guest.tried)):
            return False
        line.pop()
        if guest.turn.done():  # its caller went away in this very moment
            if seat is not None:
                seat.leave()
        else:
            guest.turn.set_result(seat)
        return True

    async def _wait(self, call: Call, find: Find, tried: Collection[Replica], hold_s: float) -> Seat | None:
        candidates = find()
        name = _name(candidates)
        line = self._lines.setdefault(name, Line(self._queue.length))
        guest = Guest(call, find, tried, hold_s > 0, asyncio.get_running_loop().create_future())
        place = Place(call.priority, call.caller.id, guest)
        position = line.position(place.priority, place.key)
        loser = line.join(place)
        if not line:
            del self._lines[name]
        if loser is place:
            raise self._full(call, candidates, position)
        if loser is not None and not loser.guest.turn.done():
            loser.guest.turn.set_exception(self._full(loser.guest.call, candidates, len(line) + 1))
        return await self._turn(place, line, candidates, hold_s or self._queue.patience_s)

    async def _turn(
        self, place: Place[Guest], line: Line[Guest], candidates: Sequence[Served], patience_s: float
    ) -> Seat | None:
        turn = place.guest.turn
        done, _ = await self._until(turn, place, line, patience_s)
        if done:
            return turn.result()
        if place.guest.holds:
            return None
        raise self._too_long(place.guest.call, candidates, len(line) + 1, patience_s)

    async def _until(self, turn: asyncio.Future, place: Place[Guest], line: Line[Guest], patience_s: float) -> tuple:
        try:
            return await asyncio.wait((turn,), timeout=patience_s)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None and turn.result() is not None:
                turn.result().leave()
            raise
        finally:
            if line.leave(place):
                turn.cancel()
                self.look()

    def _choose(self, call: Call, candidates: Sequence[Served], tried: Collection[Replica]) -> Seat | None:
        """A deployment by weight, in it a replica with a free seat."""
        choices = []
        for one in candidates:
            limit = self._limit(one.model)
            free = [r for r in self._fleet.of(one) if r.healthy and r.inflight < limit and r not in tried]
            if free:
                choices.append((one, free))
        if not choices:
            return None
        served, free = choices[0]
        if len(choices) > 1:
            served, free = _by_weight(choices, call)
        replica = free[0] if len(free) == 1 else pick(free, affinity_of(call), time.monotonic())
        return Seat(self, served, replica)

    def _answers(self, candidates: Sequence[Served], tried: Collection[Replica]) -> bool:
        return any(replica not in tried for one in candidates for replica in self._fleet.up(one))

    def _limit(self, model: str) -> int:
        """Seats of one server in this worker."""
        limit = self._limits.get(model)
        if limit is None:
            named = (limit for pattern, limit in self._queue.models.items() if fnmatchcase(model, pattern))
            limit = max(1, next(named, self._queue.per_server) // self._workers)
            self._limits[model] = limit
        return limit

    def _expected_s(self, candidates: Sequence[Served], position: int) -> int:
        """When so many who wait will have had their turn, guessed from how long seats were held of late."""
        replicas = [replica for one in candidates for replica in self._fleet.up(one)]
        held = [replica.held_s for replica in replicas if replica.held_s]
        seats = sum(self._limit(one.model) * self._fleet.healthy(one) for one in candidates)
        mean = sum(held) / len(held) if held else 1.0
        return max(1, min(LONGEST_WAIT_S, math.ceil(mean * position / max(1, seats))))

    def _full(self, call: Call, candidates: Sequence[Served], position: int) -> ApiError:
        soon = self._expected_s(candidates, position)
        call.lines += b"x-queue-position: %d\r\n" % position
        sentence = (
            f"All servers of {call.asked} are busy, and the line before them is full; yours would be number {position}."
            f" Try again in {soon} s."
        )
        return ApiError(429, sentence, "rate_limit_error", "queue_full", soon)

    def _too_long(self, call: Call, candidates: Sequence[Served], position: int, patience_s: float) -> ApiError:
        soon = self._expected_s(candidates, position)
        call.lines += b"x-queue-position: %d\r\n" % position
        sentence = f"No server of {call.asked} became free within {patience_s:g} s. Try again in {soon} s."
        return ApiError(429, sentence, "rate_limit_error", "queue_timeout", soon)


def _name(candidates: Sequence[Served]) -> tuple[str, ...]:
    return tuple(one.id for one in candidates)


def _by_weight(choices: list[tuple[Served, list[Replica]]], call: Call) -> tuple[Served, list[Replica]]:
    weights = [one.weight for one, _ in choices]
    total = sum(weights)
    if total <= 0:
        return random.choice(choices)
    affinity = affinity_of(call)
    if not affinity.pinned:
        return random.choices(choices, weights)[0]
    point = affinity.key / 2**64 * total  # one session stays with one deployment
    for choice, weight in zip(choices, weights, strict=True):
        point -= weight
        if point < 0:
            return choice
    return choices[-1]
