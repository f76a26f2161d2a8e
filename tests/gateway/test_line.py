"""The line before a model: priorities, turns between keys, and who has to go when it is full."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.line import Line, Place

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JOINS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=40)


def drained(line: Line[int]) -> list[Place[int]]:
    found = []
    while line:
        found.append(line.pop())
    return found


def test_keys_take_turns_and_priority_goes_first() -> None:
    """One who sent five stands before nobody else's second; a higher priority passes all."""
    line: Line[int] = Line(100)
    for n in range(5):
        line.join(Place(0, 1, n))
    for n in range(2):
        line.join(Place(0, 2, 10 + n))
    line.join(Place(5, 3, 99))
    assert [place.guest for place in drained(line)] == [99, 0, 10, 1, 11, 2, 3, 4]


@calm
@given(JOINS)
def test_nobody_is_lost_and_nobody_passes_a_higher_priority(joins: list[tuple[int, int]]) -> None:
    """All who joined come out once: priorities in order, each key's own in the order of joining."""
    line: Line[int] = Line(1000)
    for n, (priority, key) in enumerate(joins):
        assert line.join(Place(priority, key, n)) is None
    out = drained(line)
    assert sorted(place.guest for place in out) == list(range(len(joins)))
    assert [place.priority for place in out] == sorted((place.priority for place in out), reverse=True)
    for key in range(1, 5):
        for priority in range(3):
            own = [place.guest for place in out if (place.priority, place.key) == (priority, key)]
            assert own == sorted(own)


@calm
@given(JOINS, st.integers(0, 2), st.integers(1, 4))
def test_the_position_is_where_one_comes_out(joins: list[tuple[int, int]], priority: int, key: int) -> None:
    """What a newcomer is told is how many are served before him, and himself, if nobody else comes."""
    line: Line[int] = Line(1000)
    for joined in joins:
        line.join(Place(*joined, 0))
    position = line.position(priority, key)
    me = Place(priority, key, 1)
    line.join(me)
    found = drained(line).index(me) + 1
    assert abs(found - position) <= 3  # the other keys' turns may fall before or after
    if not joins:
        assert found == position == 1


@calm
@given(JOINS, st.integers(0, 6))
def test_a_full_line_stays_within_its_length_and_is_fair(joins: list[tuple[int, int]], length: int) -> None:
    """Never longer; nobody with a higher priority goes for a lower one; of equals nobody is left with much more."""
    line: Line[int] = Line(length)
    for n, (priority, key) in enumerate(joins):
        place = Place(priority, key, n)
        loser = line.join(place)
        assert len(line) <= length
        if loser is not None:
            assert loser.priority <= place.priority
    left = drained(line)
    if len(left) == length and left and len({place.priority for place in left}) == 1:
        refused = {key for priority, key in joins if priority == left[0].priority} - {place.key for place in left}
        counts = Counter(place.key for place in left)
        assert not refused or max(counts.values()) <= 1


def test_who_leaves_is_gone() -> None:
    """Once; a second time it was not there."""
    line: Line[int] = Line(5)
    one, other = Place(0, 1, 1), Place(0, 1, 2)
    line.join(one)
    line.join(other)
    assert line.leave(one) and not line.leave(one)
    assert drained(line) == [other] and line.first() is None
