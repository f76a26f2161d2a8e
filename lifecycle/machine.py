"""A state machine as a value: a table from state to {event: next state}, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

from lifecycle.errors import WrongMove

BROKE_IN = "(the state it broke in)"
"""Target of the one arrow that leads back to where a row came from; resolved by the `origin` argument of `next`."""

Table = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Machine:
    """`table[state][event]` is the next state; a state with an empty row is an end; `start` is where rows are born."""

    name: str
    start: str
    table: Table

    def next(self, state: str, event: str, origin: str | None = None) -> str:
        """The state after `event`, or WrongMove naming machine, state, event and the events that are possible."""
        arrows = self.table.get(state)
        if arrows is None:
            raise WrongMove(f"{self.name} has no state {state}.")
        if event not in arrows:
            possible = ", ".join(arrows) or "nothing: it has ended"
            raise WrongMove(f"A {self.name} that is {state} cannot be {event}.", f"Possible now: {possible}.")
        target = arrows[event]
        if target != BROKE_IN:
            return target
        if origin not in self.table:
            raise WrongMove(f"A {self.name} can only be {event} to a state that is known; it broke in {origin!r}.")
        return origin

    @property
    def ends(self) -> frozenset[str]:
        return frozenset(state for state, arrows in self.table.items() if not arrows)
