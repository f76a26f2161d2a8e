"""A host's share of each limit, for hosts that have a Postgres in common: more words of a line of the board.

A share is what this host may have used at most, within the minute or of the day's or month's budget. No host uses more
than its share, and the shares of all hosts are never more than the limit: so neither is what all of them use, and a
request asks nobody but the board. `gateway/shared/leasing.py` moves shares between hosts, several times a second, ahead
of what is used. A call that finds too little notes here what it wants, and waits for the next round or two.

Shares of a minute hold until UNTIL_AT, which each round moves on: other hosts believe no longer that they are in use.
Those of a budget stay this host's own until its period is over.
"""

import time

from gateway.auth import windows
from gateway.auth.limits import NAMES, Limits
from gateway.auth.windows import (
    DAY,
    DAY_COST,
    DAY_S,
    DAY_TOKENS,
    MONTH_COST,
    MONTH_TOKENS,
    NANO,
    REQUESTS,
    TOKENS,
    Words,
)

METERS = len(NAMES)
MINUTE = 2
"""The first two are of a minute."""

DAYS = (NAMES.index("tokens_per_day"), NAMES.index("cost_per_day"))

HOST_AT, UNTIL_AT, AWAY_AT, HOSTS_AT = 3, 4, 5, 6
"""Of the whole board: a number that no other board has; until when shares hold, in ms of the monotonic clock; 1 while
the shared database is away; how many hosts there were when it was last asked."""

LIMIT = windows.BEGIN + windows.SIZE
SHARE = LIMIT + METERS
WANT = SHARE + METERS
OTHERS = WANT + METERS  # what the other hosts have used, as they last said
KNOWN_UNTIL = OTHERS + METERS  # that is news until then
OWN = KNOWN_UNTIL + 1  # what this host used of day and month, in the order of windows
SIZE = OWN + windows.MONTH_COST + 1 - DAY - LIMIT

_OWN_AT = OWN - DAY
_MOST = 2**62

Needs = tuple[int, int, int, int, int, int]
"""What a call needs of each meter."""


def needs(requests: int, tokens: int, cost: int) -> Needs:
    return requests, tokens, tokens, tokens, cost, cost


def set_limits(words: Words, at: int, limits: Limits) -> None:
    for meter, name in enumerate(NAMES):
        most = getattr(limits, name) or 0
        words[at + LIMIT + meter] = min(_MOST, int(most * NANO if name.startswith("cost") else most))


def today(words: Words, at: int, now: float) -> None:
    """Make this host's own day and month current. What it had of the last ones is worth nothing now."""
    if words[at + OWN] < int(now) // DAY_S:
        for meter in range(MINUTE, METERS):
            words[at + SHARE + meter] = words[at + WANT + meter] = 0
        windows.today(words, at + _OWN_AT, now)


def spend(words: Words, at: int, when: float, tokens: int, cost: int) -> None:
    windows.spend(words, at + _OWN_AT, when, tokens, cost)


def used(words: Words, at: int, tokens_held: int, costs_held: int) -> Needs:
    """By this host, running calls included; the ring was turned, and day and month are current."""
    own = at + _OWN_AT
    return (
        windows.used(words, at, REQUESTS),
        windows.used(words, at, TOKENS),
        words[own + DAY_TOKENS] + tokens_held,
        words[own + MONTH_TOKENS] + tokens_held,
        words[own + DAY_COST] + costs_held,
        words[own + MONTH_COST] + costs_held,
    )


def before(words: Words, at: int) -> tuple[int, ...]:
    """Of each meter: what was used so far that is not this host's, by its board: what others used, or before shares."""
    own = at + _OWN_AT
    return (0, 0, *(max(0, words[at + n] - words[own + n]) for n in (DAY_TOKENS, MONTH_TOKENS, DAY_COST, MONTH_COST)))


def keep_held(words: Words, at: int, tokens: int, cost: int) -> None:
    """A worker died with this reserved: how much of it was used nobody knows, so all of it was."""
    own = at + _OWN_AT
    for place, amount in ((DAY_TOKENS, tokens), (MONTH_TOKENS, tokens), (DAY_COST, cost), (MONTH_COST, cost)):
        words[own + place] += amount


def lacking(words: Words, at: int, wanted: Needs, already: Needs, strict: bool, now_ms: int) -> list[int]:
    """The meters of which this host's share is too small for a call; what it wants is noted.

    `strict`: while the shared database is away, nothing more of a minute. Else an equal part for each host."""
    lapsed = now_ms > words[UNTIL_AT]
    found = []
    for meter, need in enumerate(wanted):
        if need and words[at + LIMIT + meter]:
            share = words[at + SHARE + meter]
            if lapsed:
                share = _lapsed(words, at, meter, share, strict)
            if already[meter] + need > share:
                words[at + WANT + meter] += need
                found.append(meter)
    return found


def hopeless(words: Words, at: int, meters: list[int], wanted: Needs, already: Needs, now_ms: int) -> bool:
    """Waiting helps nobody: all hosts together have too little left, or the shared database is away."""
    if words[AWAY_AT] and now_ms > words[UNTIL_AT]:
        return True
    if now_ms > words[at + KNOWN_UNTIL]:
        return False
    return any(already[m] + words[at + OTHERS + m] + wanted[m] > words[at + LIMIT + m] for m in meters)


def _lapsed(words: Words, at: int, meter: int, share: int, strict: bool) -> int:
    if strict or not words[AWAY_AT]:
        return 0 if meter < MINUTE else share
    part = max(1, words[at + LIMIT + meter] // max(1, words[HOSTS_AT]))
    return part if meter < MINUTE else max(part, share)


def milliseconds() -> int:
    """Of a clock that all processes of this host share and nobody sets."""
    return time.monotonic_ns() // 10**6
