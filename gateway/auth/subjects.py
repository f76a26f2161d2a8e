"""Whose limits a call must fit into, and what it holds of them while it runs."""

from dataclasses import dataclass, field

from gateway.auth.key import Key
from gateway.auth.limits import Limits

WHOSE = {"key": "Your key", "team": "Your team {}", "provider": "The provider {}", "model": "The model {}"}


@dataclass(frozen=True, slots=True)
class Subject:
    """`kind` is one of WHOSE, `which` its id or name. What is asked of it for each call is worked out once."""

    kind: str
    which: str | int
    limits: Limits
    line: str  # its name on the board
    whose: str  # how a sentence about it begins
    budgets: bool
    counts_tokens: bool

    @classmethod
    def of(cls, kind: str, which: str | int, limits: Limits) -> "Subject":
        whose = WHOSE[kind].format(which)
        return cls(kind, which, limits, f"{kind}:{which}", whose, limits.budgets, limits.counts_tokens)


@dataclass(slots=True)
class Ticket:
    """What a running call has reserved, and where. `cost` in billionths."""

    tokens: int
    step: int = 0
    cost: int = 0
    subjects: list[Subject] = field(default_factory=list)


def subjects_of(key: Key) -> tuple[Subject, ...]:
    """The key and its team, those that have limits."""
    found = (Subject.of("key", key.id, key.limits), Subject.of("team", key.team, key.team_limits))
    return tuple(subject for subject in found if subject.limits)
