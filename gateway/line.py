"""The line before one model: who waits, in whose order. Pure: it knows neither time nor servers.

Higher priority goes first. Among equals the keys take turns, so that one who sends a thousand requests doesn't stand
before one who sends one. A full line makes room for whom it would be unfair to send away.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Place(Generic[T]):
    priority: int
    key: int
    guest: T


@dataclass
class Line(Generic[T]):
    """At most `length` places."""

    length: int
    _waiting: dict[int, OrderedDict[int, deque[Place[T]]]] = field(default_factory=dict)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def join(self, place: Place[T]) -> Place[T] | None:
        """Take the last place among equals. Returns who has to go for it: perhaps `place` itself."""
        if self._size >= self.length and (loser := self._who_goes(place)) is not None:
            if loser is place:
                return place
            self.leave(loser)
            self._add(place)
            return loser
        self._add(place)
        return None

    def first(self) -> Place[T] | None:
        if not self._size:
            return None
        keys = self._waiting[max(self._waiting)]
        return next(iter(keys.values()))[0]

    def pop(self) -> Place[T]:
        """The first, whose key now goes behind the others."""
        place = self.first()
        if place is None:
            raise IndexError("nobody waits")
        self.leave(place)
        keys = self._waiting.get(place.priority, {})
        if place.key in keys:
            keys.move_to_end(place.key)
        return place

    def leave(self, place: Place[T]) -> bool:
        """False: it did not wait here."""
        keys = self._waiting.get(place.priority, {})
        places = keys.get(place.key)
        if places is None or place not in places:
            return False
        places.remove(place)
        self._size -= 1
        if not places:
            del keys[place.key]
            if not keys:
                del self._waiting[place.priority]
        return True

    def position(self, priority: int, key: int) -> int:
        """Where a newcomer would stand, counted from 1."""
        before = sum(len(p) for level, keys in self._waiting.items() if level > priority for p in keys.values())
        equals = self._waiting.get(priority, {})
        own = len(equals.get(key, ()))
        return before + own + sum(min(len(places), own + 1) for k, places in equals.items() if k != key) + 1

    def _add(self, place: Place[T]) -> None:
        self._waiting.setdefault(place.priority, OrderedDict()).setdefault(place.key, deque()).append(place)
        self._size += 1

    def _who_goes(self, place: Place[T]) -> Place[T] | None:
        if not self._size:  # no places at all
            return place
        lowest = min(self._waiting)
        if lowest > place.priority:
            return place
        keys = self._waiting[lowest]
        greedy = max(keys.values(), key=len)
        if lowest < place.priority or len(greedy) > len(keys.get(place.key, ())) + 1:
            return greedy[-1]
        return place
