"""Limits of a key, a team or a provider: what it may use in a minute, a day, a month. None: no limit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from lifecycle.errors import Refused

LARGEST = 10**15


@dataclass(frozen=True)
class Limits:
    """Tokens are those in and out together; costs are in the currency of the prices. Days and months are UTC's."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    cost_per_day: float | None = None
    cost_per_month: float | None = None

    def __bool__(self) -> bool:
        return self != NONE

    @property
    def budgets(self) -> bool:
        """Is there one that lasts longer than a minute?"""
        longer = (self.tokens_per_day, self.tokens_per_month, self.cost_per_day, self.cost_per_month)
        return any(limit is not None for limit in longer)

    @property
    def counts_tokens(self) -> bool:
        return not (self.tokens_per_minute is self.tokens_per_day is self.tokens_per_month is None)

    def given(self) -> dict[str, float]:
        """Only those that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def to_json(self) -> str:
        return json.dumps(self.given())

    def changed(self, changes: Mapping[str, float | None]) -> "Limits":
        """With these in the place of the old ones; None takes one away. Refused names what is wrong."""
        return limits_of({**self.given(), **changes})


NONE = Limits()
NAMES = tuple(field.name for field in fields(Limits))


def limits_of(given: Mapping[str, object]) -> Limits:
    """Refused for an unknown name and for what is no number above zero."""
    for name, value in given.items():
        if name not in NAMES:
            raise Refused(f"There is no limit {name!r}.", f"Choose from {', '.join(NAMES)}.")
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LARGEST
        if value is not None and not (number and (name.startswith("cost") or value == int(value))):
            kind = "a number" if name.startswith("cost") else "a whole number"
            raise Refused(f"{name} can't be {value!r}.", f"Give {kind} above zero, or none for no limit.")
    whole = {n: v if v is None or n.startswith("cost") else int(v) for n, v in given.items()}
    return Limits(**whole)
