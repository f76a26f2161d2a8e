"""Limits and budgets, enforced before a call is asked: exact for all workers of a host, for a few microseconds.

What a call will use is not known before it ends, so an estimate is reserved and the truth is booked afterwards. At
every moment the board holds what was used plus what running calls have reserved; a call is let in only when that and
its own estimate fit into every limit of its key and its team, and, for a proprietary model, of its provider.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.auth import refusal, shares, store, windows
from gateway.auth.board import Board, BoardFull
from gateway.auth.estimate import answer_tokens, prompt_tokens
from gateway.auth.key import Key
from gateway.auth.subjects import Subject, Ticket, subjects_of
from gateway.auth.windows import DAY_COST, DAY_TOKENS, MONTH_COST, MONTH_TOKENS, NANO, REQUESTS, TOKENS
from gateway.call import Call
from gateway.errors import ApiError
from gateway.log import note, say
from gateway.store import StoreError, Where, read_only

LOOK_S = 1.0
CHECK_S = 60.0

PATIENCE_S = 1.0
"""So long a call waits for a larger share, looking every AGAIN_S; no more than MOST_WAITING do in each worker."""
AGAIN_S = 0.03
MOST_WAITING = 256

Lines = list[tuple[Subject, int]]
"""Subjects, and where they are on the board."""


class Limiter:
    """Implements admission.Check. One of each worker, on its event loop's thread."""

    def __init__(
        self,
        board: Path,
        database: Where,
        clock: Callable[[], float] = time.time,
        hear: Callable = note,
        shared: bool = False,
        strict: bool = False,
    ):
        """`hear(event, fields)` is told of each refusal. `shared`: other hosts have shares of the same limits;
        `strict` is for while their database is away. Raises OSError when the board can't be had."""
        self._board = Board(board)
        self._database = database
        self.everywhere: Where = database
        """Where `check` looks: a store that several hosts share knows what the others used."""
        self._clock = clock
        self._hear = hear
        self._shared = shared
        self._strict = strict
        self._waiting = 0
        self._told: dict[str, Subject] = {}
        self._tickets: dict[str, Ticket] = {}
        self._subjects: dict[int, tuple[Key, tuple[Subject, ...]]] = {}
        self.refused: Counter[tuple[str, str]] = Counter()
        """(the kind of whose it is, which limit) → how often this worker refused because of it."""

    def before(self, call: Call) -> None:
        """Let the call in, or raise ApiError(429). `call.lines` says what is left of the minute."""
        if not (subjects := self._of(call.caller)):
            return
        tokens = 0
        for subject in subjects:
            if subject.counts_tokens:
                tokens = prompt_tokens(call.body, call.size) + answer_tokens(call.body)
                break
        self._admit(call, Ticket(tokens), subjects, 0)

    def spend(self, call: Call, subjects: tuple[Subject, ...], price: Callable[[int, int], float]) -> None:
        """A proprietary model is about to be asked: does the money of all reach, its key's, team's and these?

        `price` of so many tokens in and out; 0: not known before. Raises ApiError(429).
        """
        ticket = self._tickets.get(call.id)
        if not subjects and (ticket is None or not any(s.budgets for s in ticket.subjects)):
            return
        asked, answered = prompt_tokens(call.body, call.size), answer_tokens(call.body)
        cost = int(price(asked, answered) * NANO)
        self._admit(call, ticket or Ticket(asked + answered), subjects, cost)

    async def later(self, call: Call, short: refusal.Short, again: Callable[[], None]) -> None:
        """Until this host's share has grown and `again` lets the call in; or raise what it raised last."""
        deadline = time.monotonic() + PATIENCE_S
        self._waiting += 1
        try:
            while time.monotonic() < deadline and self._waiting <= MOST_WAITING:
                await asyncio.sleep(AGAIN_S)
                try:
                    return again()
                except refusal.Short as still:
                    short = still
        finally:
            self._waiting -= 1
        self._refuse(call, short.refused)
        raise short.refused

    def after(self, call: Call) -> None:
        """Book what the call has really used and give its reservation back."""
        if (ticket := self._tickets.pop(call.id, None)) is None:
            return
        known = (call.prompt_tokens or 0) + (call.completion_tokens or 0)
        felt = ticket.tokens if not call.counted and call.status < 400 else known
        cost = int((call.cost or 0.0) * NANO)
        words, now = self._board.words, self._clock()
        self._board.lock()
        try:
            for subject in ticket.subjects:
                at = self._board.line(subject.line)
                if subject.limits.tokens_per_minute is not None:
                    step = windows.turn(words, at, now)
                    if felt < ticket.tokens:  # given back where it was booked; more than that is known only now
                        step = ticket.step
                    windows.book(words, at, TOKENS, step, felt - ticket.tokens)
                if subject.budgets:
                    windows.today(words, at, now)
                    windows.spend(words, at, call.at, known, cost)
                    if self._shared:
                        shares.today(words, at, now)
                        shares.spend(words, at, call.at, known, cost)
                    self._board.hold(at, -ticket.tokens, -ticket.cost)
        finally:
            self._board.unlock()

    def standing(self, subjects: tuple[Subject, ...]) -> list[dict]:
        """What each has used of its limits, with what running calls have reserved."""
        board, words, now, found = self._board, self._board.words, self._clock(), []
        with self._locked():
            for subject in subjects:
                at = self._line(subject, now)
                windows.turn(words, at, now)
                windows.today(words, at, now)
                tokens, costs = board.held(at), board.costs_held(at)
                used = {
                    "requests_per_minute": windows.used(words, at, REQUESTS),
                    "tokens_per_minute": windows.used(words, at, TOKENS),
                    "tokens_per_day": words[at + DAY_TOKENS] + tokens,
                    "tokens_per_month": words[at + MONTH_TOKENS] + tokens,
                    "cost_per_day": (words[at + DAY_COST] + costs) / NANO,
                    "cost_per_month": (words[at + MONTH_COST] + costs) / NANO,
                }
                limits = subject.limits.given()
                found.append({"of": subject.line, "limits": limits, "used": {name: used[name] for name in limits}})
        return found

    async def run(self) -> None:
        """Until cancelled: take away what dead workers have reserved, and take over what others wrote to the ledger."""
        checked = self._clock()
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self.look()
                if self._clock() - checked > CHECK_S:
                    checked = self._clock()
                    await self.check()
            except (OSError, StoreError, ApiError) as error:
                say("limits.unchecked", reason=str(error))

    def look(self) -> None:
        """Take away what workers that died have reserved."""
        for worker in self._board.dead():
            self._board.bury(worker)
            say("limits.buried", worker=worker)

    async def check(self) -> None:
        """Budgets know of usage that did not come through them: of other hosts, or before they were set."""
        subjects = {one.line: one for _, known in self._subjects.values() for one in known if one.budgets}
        self._subjects.clear()
        for subject in subjects.values():
            now = self._clock()
            sums = await asyncio.to_thread(self._sums, subject, now, self.everywhere)
            with self._locked():
                at = self._line(subject, now)
                # a call that was written and is not booked yet stands in both: its reservation must cover it
                held = (self._board.held(at), self._board.costs_held(at))
                windows.at_least(self._board.words, at, now, *sums, held)

    def close(self) -> None:
        self._board.close()

    def _of(self, key: Key) -> tuple[Subject, ...]:
        known = self._subjects.get(key.id)
        if known is None or known[0] is not key:  # another object: the key or its team was changed
            known = self._subjects[key.id] = (key, subjects_of(key))
        return known[1]

    def _admit(self, call: Call, ticket: Ticket, subjects: tuple[Subject, ...], cost: int) -> None:
        """Into the limits of new subjects, and with this cost into those that it already is in; all or none."""
        board, words, now = self._board, self._board.words, self._clock()
        board.lock()
        try:
            already = [(subject, self._line(subject, now)) for subject in ticket.subjects]
            lines = [(subject, self._line(subject, now)) for subject in subjects]
            for _, at in lines:
                ticket.step = windows.turn(words, at, now)
            self._check(call, lines, already, ticket.tokens, cost, now)
            if self._shared:
                self._check_shares(call, lines, already, ticket.tokens, cost, now)
            for subject, at in lines:
                windows.book(words, at, REQUESTS, ticket.step, 1)
                windows.book(words, at, TOKENS, ticket.step, ticket.tokens)
                if subject.budgets:
                    board.hold(at, ticket.tokens, cost)
            for subject, at in already:
                if subject.budgets:
                    board.hold(at, 0, cost)
            if not already:
                call.lines += refusal.headers(lines, words)
        except (BoardFull, StoreError, OSError) as error:
            raise _unknown(error) from None
        finally:
            board.unlock()
        ticket.cost += cost
        ticket.subjects += subjects
        self._tickets[call.id] = ticket

    def _check(self, call: Call, lines: Lines, already: Lines, tokens: int, cost: int, now: float) -> None:
        """Raises OverLimit for the first limit that it does not fit into."""
        board, words = self._board, self._board.words
        try:
            for subject, at in lines:
                refusal.of_minute(subject.whose, subject.limits, words, at, tokens, now)
                if subject.budgets:
                    refusal.of_tokens(subject.whose, subject.limits, words, at, board.held(at), tokens, now)
            for subject, at in (*already, *lines):
                if subject.budgets:
                    refusal.of_costs(subject.whose, subject.limits, words, at, board.costs_held(at), cost, now)
        except refusal.OverLimit as refused:
            refused.subject = subject
            call.lines += refusal.headers(lines, words)
            self._refuse(call, refused)
            raise

    def _check_shares(self, call: Call, lines: Lines, already: Lines, tokens: int, cost: int, now: float) -> None:
        """Raises OverLimit, or Short when there may be more in a moment."""
        board, words, ticks = self._board, self._board.words, shares.milliseconds()
        whole, money = shares.needs(1, max(tokens, 1), max(cost, 1)), shares.needs(0, 0, max(cost, 1))
        for wanted, some in ((whole, lines), (money, already)):
            for subject, at in some:
                if self._told.get(subject.line) is not subject:
                    shares.set_limits(words, at, subject.limits)
                    self._told[subject.line] = subject
                if subject.budgets:
                    shares.today(words, at, now)
                used = shares.used(words, at, board.held(at), board.costs_held(at))
                if meters := shares.lacking(words, at, wanted, used, self._strict, ticks):
                    refused = refusal.of_share(subject, words, at, meters[0], used[meters[0]], now)
                    if not shares.hopeless(words, at, meters, wanted, used, ticks):
                        raise refusal.Short(refused)
                    call.lines += refusal.headers(lines, words)
                    self._refuse(call, refused)
                    raise refused

    def _refuse(self, call: Call, refused: refusal.OverLimit) -> None:
        """A log line, and no row: whoever hammers against a limit must not make the ledger grow."""
        call.settled = True
        subject = refused.subject
        self.refused[subject.kind, refused.limit] += 1
        self._hear(
            "refused.limit", {"id": call.id, "key": call.caller.prefix, "of": subject.line, "limit": refused.limit}
        )

    def _line(self, subject: Subject, now: float) -> int:
        """Where the subject is on the board, with a current day and month. sqlite3.Error, BoardFull."""
        at = self._board.line(subject.line)
        if subject.budgets:
            if self._board.is_new(at):
                self._load(at, subject, now)
            windows.today(self._board.words, at, now)
        return at

    def _load(self, at: int, subject: Subject, now: float) -> None:
        """Day and month out of the ledger: of a line that is new, or after a worker died with something reserved."""
        windows.at_least(self._board.words, at, now, *self._sums(subject, now, self._database))
        self._board.is_loaded(at)

    def _sums(self, subject: Subject, now: float, where: Where) -> tuple[tuple[int, int], tuple[int, int]]:
        """(tokens, cost) of the day and of the month, as the ledger has them. Any thread; sqlite3.Error."""
        connection = read_only(where)
        try:
            since = (windows.day_began(now), windows.month_began(now))
            day, month = (store.spent(connection, subject.kind, subject.which, moment) for moment in since)
        finally:
            connection.close()
        return (day[0], int(day[1] * NANO)), (month[0], int(month[1] * NANO))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._board.lock()
        try:
            yield
        except (BoardFull, StoreError, OSError) as error:
            raise _unknown(error) from None
        finally:
            self._board.unlock()


def _unknown(error: Exception) -> ApiError:
    """Nobody is let in whose limits are not known."""
    say("limits.unknown", kind=type(error).__name__, reason=str(error))
    sentence = "The gateway can't tell what was used so far. Try again later, or tell its operator."
    return ApiError(503, sentence, "server_error", "limits_unavailable", retry_after_s=10)
