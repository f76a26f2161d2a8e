"""A team: keys that share limits, and what none of them may cross."""

from dataclasses import dataclass

from gateway.auth.limits import NONE, Limits


@dataclass(frozen=True)
class Team:
    """`tags` and `models` (globs) narrow those of its keys; empty: they don't."""

    name: str
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    limits: Limits = NONE
    created_at: float = 0.0
    created_by: str = ""
