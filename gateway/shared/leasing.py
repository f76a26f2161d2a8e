"""Rounds in which hosts move shares of limits between them, through the shared store. See `gateway/auth/shares.py`.

One thread of one worker of each host. The store never says less than what a board lets use: a share is lowered on the
board first and in the store then, and raised in the store first. Rounds of all hosts are one after the other.
"""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.auth import shares, windows
from gateway.auth.board import NAME, Board
from gateway.auth.shares import LIMIT, METERS, MINUTE, OTHERS, SHARE, WANT
from gateway.log import say
from gateway.shared.dealing import Holding, deal
from gateway.shared.postgres import Connection as Postgres
from gateway.store import StoreError, begin
from lifecycle.settings import Shared

EVERY_S = 0.1
RESTING_S = 1.0
"""Between rounds while nothing is used; the store hears of this host at least so often."""

HOLDS_S = 10.0
"""A share of a minute holds for so long after the round that confirmed it."""

BURIED_S = HOLDS_S + windows.WINDOW_S + 3
"""So long after its last round a host may have used its shares within the last minute."""

BUSY_S = 10
TURN_S = 0.4
NEWS_MS = 1000
LOCK = 0x64617A66

Place = tuple[int, int, int]
"""Subject, meter, period."""

_SEEN = (
    "INSERT INTO limit_hosts (host, seen_at) VALUES (?, extract(epoch FROM clock_timestamp()))"
    " ON CONFLICT (host) DO UPDATE SET seen_at = excluded.seen_at RETURNING seen_at"
)
_ROWS = "SELECT subject, meter, period, host, share, used, want FROM limit_shares WHERE subject = ANY(?)"
_WRITE = (
    "INSERT INTO limit_shares (subject, meter, period, host, share, used, want) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (subject, meter, period, host)"
    " DO UPDATE SET share = excluded.share, used = excluded.used, want = excluded.want"
)
_DROP = "DELETE FROM limit_shares WHERE subject = ? AND meter = ? AND period = ? AND host = ?"


@dataclass(frozen=True)
class Line:
    """What a board says of one subject, at one moment."""

    at: int
    subject: int
    day: int
    busy: bool
    limits: tuple[int, ...]
    shares: tuple[int, ...]
    used: tuple[int, ...]
    wants: tuple[int, ...]
    before: tuple[int, ...]

    @property
    def moving(self) -> bool:
        """Is there anything to take or to give back?"""
        return any(self.wants) or any(s > u for s, u in zip(self.shares, self.used, strict=True))


class Leasing:
    """`clock` is the time of the board's windows, `ticks` that of its shares."""

    def __init__(
        self, board: Path, clock: Callable[[], float] = time.time, ticks: Callable[[], int] = shares.milliseconds
    ):
        self._board = Board(board)
        self._words = self._board.words
        self._host = self._words[shares.HOST_AT]
        self._clock = clock
        self._ticks = ticks
        self._told: dict[int, Line] = {}
        self._cleared = 0

    def round(self, store: Postgres, last: bool = False) -> bool:
        """One round; were there shares to move? `last`: hold nothing ahead any more. StoreError."""
        began, now = self._ticks(), self._clock()
        fresh = began > self._words[shares.UNTIL_AT]  # others may have had them since: nothing is mine any more
        found = self._lines(now, fresh)
        lines = [one for one in found if last or fresh or one.moving or one != self._told.get(one.at)]
        granted: list[tuple[Line, int, int]] = []
        with begin(store):
            store.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
            at = float(store.execute(_SEEN, (self._host,)).fetchone()[0])
            alive = {row[0] for row in store.execute(
                "SELECT host FROM limit_hosts WHERE seen_at > ?", (at - BURIED_S,))}  # fmt: skip
            self._bury(store, at, alive)
            if lines:
                granted = self._deal(store, lines, at, alive, last)
        for line, meter, share in granted:
            self._raise(line, meter, share)
        self._words[shares.HOSTS_AT] = len(alive)
        self._words[shares.AWAY_AT] = 0
        self._words[shares.UNTIL_AT] = began + int(HOLDS_S * 1000)
        self._told |= {line.at: line for line in lines}
        return any(line.moving or line.busy for line in lines)

    def away(self) -> None:
        """The store can't be reached."""
        self._words[shares.AWAY_AT] = 1

    def wanted(self) -> bool:
        """Does a call wait for a share?"""
        words = self._words
        return any(any(words[at + WANT : at + WANT + METERS]) for at in self._board.lines())

    def close(self) -> None:
        self._board.close()

    def _lines(self, now: float, fresh: bool) -> Iterable[Line]:
        for at in self._board.lines():
            if any(self._words[at + LIMIT : at + LIMIT + METERS]):
                self._board.lock()
                try:
                    yield self._look(at, now, fresh)
                finally:
                    self._board.unlock()

    def _look(self, at: int, now: float, fresh: bool) -> Line:
        words, board = self._words, self._board
        windows.turn(words, at, now)
        shares.today(words, at, now)
        if fresh:
            for meter in range(MINUTE):
                words[at + SHARE + meter] = 0
        wants = tuple(words[at + WANT : at + WANT + METERS])
        for meter in range(METERS):
            words[at + WANT + meter] = 0
        busy = any(wants) or _used_since(words, at, int(now - BUSY_S) // windows.STEP_S)
        return Line(
            at, words[at + NAME], words[at + shares.OWN], busy, tuple(words[at + LIMIT : at + LIMIT + METERS]),
            tuple(words[at + SHARE : at + SHARE + METERS]),
            shares.used(words, at, board.held(at), board.costs_held(at)), wants, shares.before(words, at),
        )  # fmt: skip

    def _deal(self, store: Postgres, lines: Sequence[Line], at: float, alive: set[int], last: bool) -> list:
        """Lower what is to be lowered, write all, and say what is to be raised: (line, meter, share)."""
        rows: dict[Place, dict[int, Holding]] = defaultdict(dict)
        for subject, meter, period, host, share, used, want in store.execute(
            _ROWS, ([line.subject for line in lines],)
        ):
            rows[subject, meter, period][host] = Holding(share, used, want if host in alive else 0)
        found, writes, drops = [], [], []
        for line in lines:
            for meter in range(METERS):
                place = (line.subject, meter, period_of(meter, line.day))
                known = rows[place]
                if not line.limits[meter] and self._host not in known:
                    continue
                if not known and line.before[meter]:  # used before there were shares: nobody's, and never given back
                    known[0] = Holding(line.before[meter], line.before[meter])
                    writes.append((*place, 0, line.before[meter], line.before[meter], 0))
                mine = known.pop(self._host, None)
                holding = Holding(line.shares[meter], line.used[meter], 0 if last else line.wants[meter])
                share = self._share(line, meter, holding, known, at, alive, last)
                used = self._lower(line, meter, share)
                now = Holding(max(share, used), used, max(0, holding.used + holding.want - share))
                if now == Holding(0, 0):
                    drops += [(*place, self._host)] if mine is not None else []
                elif now != mine:
                    writes.append((*place, self._host, now.share, now.used, now.want))
                if now.share > line.shares[meter]:
                    found.append((line, meter, now.share))
        if drops:
            store.executemany(_DROP, drops)
        if writes:
            store.executemany(_WRITE, writes)
        return found

    def _share(
        self, line: Line, meter: int, mine: Holding, others: dict[int, Holding], at: float, alive: set[int], last: bool
    ) -> int:
        """What this host shall hold; notes how much the others have used."""
        limit, words = line.limits[meter], self._words
        waiting = sorted([host for host, other in others.items() if other.want] + [self._host] * bool(mine.want))
        turn = bool(mine.want) and waiting[int(at / TURN_S) % len(waiting)] == self._host
        share = deal(
            limit, mine, list(others.values()), len(alive), budget=meter >= MINUTE, busy=line.busy and not last,
            turn=turn,
        )  # fmt: skip
        words[line.at + OTHERS + meter] = sum(other.used for other in others.values())
        words[line.at + shares.KNOWN_UNTIL] = self._ticks() + NEWS_MS
        return share

    def _lower(self, line: Line, meter: int, share: int) -> int:
        """On the board, should it hold more; what is used by now."""
        board, words = self._board, self._words
        board.lock()
        try:
            if words[line.at + shares.OWN] != line.day:  # midnight came: that share is nobody's
                return line.used[meter]
            used = shares.used(words, line.at, board.held(line.at), board.costs_held(line.at))[meter]
            if words[line.at + SHARE + meter] > share:
                words[line.at + SHARE + meter] = max(share, used)
            return used
        finally:
            board.unlock()

    def _raise(self, line: Line, meter: int, share: int) -> None:
        board, words = self._board, self._words
        board.lock()
        try:
            if words[line.at + shares.OWN] == line.day or meter < MINUTE:
                words[line.at + SHARE + meter] = share
        finally:
            board.unlock()

    def _bury(self, store: Postgres, at: float, alive: set[int]) -> None:
        """What hosts had that are gone: of a minute only. A budget's share may have been used up by one that is cut
        off, so it stays until its period is over."""
        dead = store.execute("SELECT host FROM limit_hosts WHERE seen_at <= ?", (at - BURIED_S,)).fetchall()
        if dead:
            gone = [row[0] for row in dead]
            store.execute("DELETE FROM limit_shares WHERE meter < ? AND host = ANY(?)", (MINUTE, gone))
            store.execute("DELETE FROM limit_hosts WHERE host = ANY(?)", (gone,))
        if (day := int(at) // windows.DAY_S) != self._cleared:
            for meter in range(MINUTE, METERS):
                old = period_of(meter, day - 2)
                store.execute("DELETE FROM limit_shares WHERE meter = ? AND period < ?", (meter, old))
            self._cleared = day


def period_of(meter: int, day: int) -> int:
    """A number of the day, or of the month, that a share belongs to."""
    if meter < MINUTE:
        return 0
    return day if meter in shares.DAYS else windows.month_of(day * windows.DAY_S)


def _used_since(words: windows.Words, at: int, step: int) -> bool:
    """Was anything asked since that step?"""
    newest = words[at + windows.STEP]
    begin = max(step, newest - windows.STEPS + 1)
    return any(words[at + windows.REQUESTS + n % windows.STEPS] for n in range(begin, newest + 1))


class Leaser:
    """The thread. `with Leaser(...)`: it runs, and gives back at the end what was held ahead. OSError: no board."""

    def __init__(self, board: Path, shared: Shared):
        self._leasing, self._shared = Leasing(board), shared
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-shares", daemon=True)

    def __enter__(self) -> "Leaser":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def _run(self) -> None:
        leasing, told = self._leasing, False
        while not self._ended.is_set():
            try:
                with contextlib.closing(Postgres(self._shared.url)) as store:
                    store.execute("SET idle_in_transaction_session_timeout = 5000")
                    store.execute("SET lock_timeout = 5000")
                    if told:
                        say("shares.reached")
                        told = False
                    self._rounds(leasing, store)
            except (StoreError, OSError) as error:
                leasing.away()
                if not told:
                    say("shares.away", reason=str(error)[:300])
                    told = True
                self._ended.wait(RESTING_S)
        leasing.close()

    def _rounds(self, leasing: Leasing, store: Postgres) -> None:
        while True:
            last = self._ended.is_set()
            began = time.monotonic()
            moving = leasing.round(store, last)
            took = time.monotonic() - began
            if last:
                return
            rest = began + RESTING_S
            self._ended.wait(max(EVERY_S, 2 * took))
            while not (moving or self._ended.is_set() or time.monotonic() > rest or leasing.wanted()):
                self._ended.wait(EVERY_S)
