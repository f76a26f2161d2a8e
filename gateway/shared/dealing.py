"""How much of a limit a host may hold, beside what the others hold. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

BUDGET_PART = 100
"""What a host holds of a budget beyond what it has used is at most such a part: should it die, that much is lost."""


@dataclass(frozen=True)
class Holding:
    """Of one host. `used` can't be given back; `want`: what calls wait for."""

    share: int
    used: int
    want: int = 0


def deal(
    limit: int, mine: Holding, others: Sequence[Holding], hosts: int, *, budget: bool, busy: bool, turn: bool
) -> int:
    """My new share: never less than what I used, and with those of the others never more than the limit (but for what
    was used already).

    Something is held ahead while I am `busy`, nothing of it while somebody waits. When there is too little for all who
    wait, one of them at a time takes what there is (`turn`): two halves of what a call needs would serve nobody.
    """
    free = limit - sum(other.share for other in others)
    need = mine.used + mine.want
    waiting = sum(other.want for other in others)
    if waiting:
        return max(mine.used, min(free, need) if turn or need + waiting <= free else 0)
    ahead = max(1, (free - need) // (2 * max(1, hosts))) if busy else 0
    if budget:
        ahead = min(ahead, max(1, limit // BUDGET_PART))
    kept = mine.share if busy else 0  # a call that it was given for may come for it a moment later
    return max(mine.used, min(free, max(kept, need + ahead)))
