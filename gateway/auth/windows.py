"""What was used within the last minute, day and month, in the words of one line of the board.

The minute is a ring of STEPS counters of STEP_S seconds each, one more than a minute has: what is counted is never less
than the last 60 seconds, whenever one looks. Day and month are UTC's, each with its number beside it. Callers hold the
board's lock. An outdated number is cleared before its date is moved, so a kill -9 between the two is repaired by
whoever comes next.
"""

import time
from collections.abc import MutableSequence

Words = MutableSequence[int]

STEP_S = 2
STEPS = 60 // STEP_S + 1
WINDOW_S = STEP_S * STEPS

BEGIN = 2  # after the board's own words of the line
STEP = BEGIN
REQUESTS = STEP + 1
TOKENS = REQUESTS + STEPS
DAY = TOKENS + STEPS
DAY_TOKENS, DAY_COST = DAY + 1, DAY + 2
MONTH = DAY + 3
MONTH_TOKENS, MONTH_COST = MONTH + 1, MONTH + 2
SIZE = MONTH + 3 - BEGIN

DAY_S = 86400
NANO = 10**9
"""Costs are counted in billionths."""


def turn(words: Words, at: int, now: float) -> int:
    """Make the minute's ring current; the step that now is. A clock that goes back a little stands still for us."""
    step = int(now) // STEP_S
    last = words[at + STEP]
    if step == last:
        return step
    if last - STEPS < step < last:
        return last
    old = range(last + 1, step + 1) if last < step < last + STEPS else range(STEPS)
    for one in old:
        words[at + REQUESTS + one % STEPS] = 0
        words[at + TOKENS + one % STEPS] = 0
    words[at + STEP] = step
    return step


def used(words: Words, at: int, ring: int) -> int:
    """Sum of one ring, REQUESTS or TOKENS, that was turned."""
    return sum(words[at + ring : at + ring + STEPS])


def book(words: Words, at: int, ring: int, step: int, amount: int) -> None:
    """Add to a step of the ring, if it is still in there; never below nothing."""
    last = words[at + STEP]
    if last - STEPS < step <= last:
        place = at + ring + step % STEPS
        words[place] = max(0, words[place] + amount)


def wait_s(words: Words, at: int, ring: int, excess: int, now: float) -> int:
    """Seconds until so much of the ring is outdated that `excess` is gone."""
    last = words[at + STEP]
    for step in range(last - STEPS + 1, last + 1):
        excess -= words[at + ring + step % STEPS]
        if excess <= 0:
            return max(1, (step + STEPS) * STEP_S - int(now))
    return WINDOW_S


def today(words: Words, at: int, now: float) -> None:
    """Make day and month current."""
    day = int(now) // DAY_S
    if words[at + DAY] >= day:
        return
    month = month_of(now)
    if words[at + MONTH] < month:
        words[at + MONTH_TOKENS] = words[at + MONTH_COST] = 0
        words[at + MONTH] = month
    words[at + DAY_TOKENS] = words[at + DAY_COST] = 0
    words[at + DAY] = day


def forget(words: Words, at: int) -> None:
    """Day and month as if nothing had been used: `at_least` says then what has been."""
    for one in range(DAY, MONTH_COST + 1):
        words[at + one] = 0


def at_least(
    words: Words, at: int, now: float, day: tuple[int, int], month: tuple[int, int], held: tuple[int, int] = (0, 0)
) -> None:
    """(tokens, cost) of the current day and month are no less than the ledger says, but for what is `held` here."""
    today(words, at, now)
    places = ((DAY_TOKENS, DAY_COST), day), ((MONTH_TOKENS, MONTH_COST), month)
    for names, known in places:
        for place, amount, reserved in zip(names, known, held, strict=True):
            if amount > words[at + place] + reserved:
                words[at + place] = amount


def spend(words: Words, at: int, when: float, tokens: int, cost: int) -> None:
    """Book what a request that began at `when` has used on its day and month, if they are still the current ones."""
    current = int(when) // DAY_S == words[at + DAY]
    if current:
        words[at + DAY_TOKENS] += tokens
        words[at + DAY_COST] += cost
    if current or month_of(when) == words[at + MONTH]:
        words[at + MONTH_TOKENS] += tokens
        words[at + MONTH_COST] += cost


def month_of(now: float) -> int:
    year, month = time.gmtime(now)[:2]
    return year * 12 + month - 1


def month_began(now: float) -> float:
    """Epoch seconds of the first moment of the UTC month."""
    day = time.gmtime(now).tm_mday
    return float((int(now) // DAY_S - day + 1) * DAY_S)


def day_began(now: float) -> float:
    return float(int(now) // DAY_S * DAY_S)


def day_ends_s(now: float) -> int:
    """Seconds until the next UTC day."""
    return DAY_S - int(now) % DAY_S


def month_ends_s(now: float) -> int:
    next_one = month_began(month_began(now) + 32 * DAY_S)
    return int(next_one - now)
