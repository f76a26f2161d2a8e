"""Rounds of watching: every source that is due gets its look, some at once; one that fails or is slow delays no other.

A look has three parts: what the ledger knew (`before`), the questions to the network (`fetch`, in a thread), and
what they mean (`absorb`). Only the middle one may take long, and it touches no ledger.
"""

import logging
import random
import time
from typing import Any, Protocol

from bot.watch.errands import Errands
from lifecycle import watching
from lifecycle.errors import DayzeroError, HubUnavailable, Throttled
from lifecycle.ledger import Ledger

log = logging.getLogger("dayzero")

JITTER = 0.1
RETRY_S = 30.0
WORKERS = 8
AT_ONCE = 2 * WORKERS
"""So many looks are begun before the first has ended: what each knew before and has found is held in memory."""

PATIENCE_S = 120.0
"""How long a round waits for its looks where nobody says otherwise; what takes longer is absorbed by a later one."""

SILENT_ROUNDS = 3
"""A source that could not be seen for so many rounds is spoken about; a hiccup is not."""


class Watch(Protocol):
    """Something with sources to look at, all behind one door: when that one says 'too often', it is meant for all."""

    name: str
    every_s: float

    @property
    def sources(self) -> list[str]: ...

    def rest_s(self) -> float:
        """Seconds for which nothing should be asked."""

    def before(self, source: str) -> Any: ...

    def fetch(self, source: str, before: Any) -> Any: ...

    def absorb(self, source: str, before: Any, seen: Any) -> int: ...


class Rounds:
    """`step()` is one round of one watch. What is on its way is known to this process only: a kill just looks again."""

    def __init__(self, ledger: Ledger, watch: Watch, spread: random.Random | None = None):
        self._ledger = ledger
        self._watch = watch
        self._spread = spread or random.Random()
        self._errands = Errands(f"watch-{watch.name}", WORKERS)
        self._before: dict[str, Any] = {}
        self._failures: dict[str, int] = {}
        self._quiet_until = 0.0

    def close(self) -> None:
        """Nothing more is asked."""
        self._errands.close()

    def step(self, patience_s: float = PATIENCE_S) -> int:
        """Begin the looks that are due, take in those that have ended within `patience_s`; the number of releases."""
        now, deadline = self._ledger.clock(), time.monotonic() + patience_s
        found, due = 0, self._due(now)
        while due or self._errands.away:
            while due and len(self._errands.away) < AT_ONCE and now >= self._quiet_until:
                self._begin(due.pop(0))
            if not self._errands.away:
                break
            returned = self._errands.back(deadline - time.monotonic())
            if returned is None:
                break
            found += self._take_in(*returned)
        return found

    def _due(self, now: float) -> list[str]:
        if now < self._quiet_until or self._watch.rest_s() > 0:
            return []
        return [name for name in watching.due(self._ledger, self._watch.sources, now) if name not in self._before]

    def _begin(self, source: str) -> None:
        before = self._before[source] = self._watch.before(source)
        self._errands.send(source, lambda: self._fetch(source, before))

    def _fetch(self, source: str, before: Any) -> Any:
        if (rest := self._watch.rest_s()) > 0:
            raise Throttled("We leave it alone for a while.", retry_after_s=rest)
        return self._watch.fetch(source, before)

    def _take_in(self, source: str, seen: Any, error: Exception | None) -> int:
        before, found = self._before.pop(source), 0
        try:
            if error is not None:
                raise error
            found = self._watch.absorb(source, before, seen)
        except DayzeroError as refusal:
            self._failed(source, refusal)
        except Exception as stumble:  # one strange answer must not stop the others
            log.exception("looking at %s stumbled", source)
            self._failed(source, HubUnavailable(f"The look stumbled ({type(stumble).__name__})."))
        else:
            self._failures.pop(source, None)
            watching.recovered(self._ledger, self._watch.name)
            watching.put_off(self._ledger, source, self._ledger.clock() + self._around(self._watch.every_s))
        return found

    def _failed(self, source: str, error: DayzeroError) -> None:
        ledger, every = self._ledger, self._watch.every_s
        now = ledger.clock()
        if isinstance(error, Throttled):
            pause = error.retry_after_s or every
            self._quiet_until = max(self._quiet_until, now + pause)
            watching.put_off(ledger, source, now + pause)
            return
        failures = self._failures[source] = self._failures.get(source, 0) + 1
        pause = min(RETRY_S * 2 ** min(failures - 1, 10), every) if error.retryable else every
        watching.put_off(ledger, source, now + max(self._around(pause), error.retry_after_s or 0))
        if not error.retryable:
            watching.complain(ledger, source, error.advice)
        elif (about := self._silent(source, now)) is not None:
            watching.complain(ledger, about, error.advice)

    def _silent(self, source: str, now: float) -> str | None:
        """Whom to speak about: the source, everything behind the door when nothing of it answers, or nobody yet."""
        patience = SILENT_ROUNDS * self._watch.every_s
        looks = watching.looks(self._ledger)
        own = looks.get(source)
        if own is not None and now - own < patience:
            return None
        if any(now - looks[name] < patience for name in self._watch.sources if name in looks):
            return source
        return self._watch.name if len(self._watch.sources) > 1 else source

    def _around(self, seconds: float) -> float:
        """Not all at the same moment, and not always in the same order."""
        return seconds * (1 + self._spread.uniform(-JITTER, JITTER))
