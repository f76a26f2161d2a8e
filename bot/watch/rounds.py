"""One round of watching: every source that is due gets its look; one that fails does not delay the others."""

import random
from typing import Protocol

from lifecycle import watching
from lifecycle.errors import DayzeroError
from lifecycle.ledger import Ledger

JITTER = 0.1
RETRY_S = 30


class Watch(Protocol):
    """Something with sources to look at."""

    @property
    def sources(self) -> list[str]: ...

    def look(self, source: str) -> int: ...


def round_of(ledger: Ledger, watch: Watch, every_s: float, spread: random.Random) -> int:
    """Look at what is due; the number of releases found."""
    found = 0
    for source in watching.due(ledger, watch.sources, ledger.clock()):
        pause = every_s * (1 + spread.uniform(-JITTER, JITTER))
        try:
            found += watch.look(source)
        except DayzeroError as error:
            wait = error.retry_after_s or (min(RETRY_S, every_s) if error.retryable else pause)
            watching.stumbled(ledger, source, error.advice, ledger.clock() + wait)
        else:
            watching.looked(ledger, source, watching.cursor(ledger, source) or {"looked": True}, ledger.clock() + pause)
    return found
