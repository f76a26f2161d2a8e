"""What a shard still has to ask: by default what is not finished, by a person's wish some of the rest once more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gauntlet.answers import FAIL, UNSCORED

JSON = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """`only_failed`: ask again what failed or stayed open. `suite`: this suite alone, all of it unless only_failed.

    `token` names one wish (an array's job id): what was asked under it already is not asked again after a kill.
    """

    only_failed: bool = False
    suite: str = ""
    token: str = ""

    def wants(self, suite: str, finished: JSON | None) -> bool:
        """A sample of this suite? `finished`: its record, None while it has none that counts."""
        if self.suite and suite != self.suite:
            return False
        if finished is None:
            return True
        if self.token and finished.get("again") == self.token:
            return False
        return finished["grade"] in (FAIL, UNSCORED) if self.only_failed else bool(self.suite)

    def mark(self, record: dict[str, Any], before: JSON | None) -> dict[str, Any]:
        """A record that took the place of another says so, with what was there: nobody rolls the dice unseen."""
        if before is None:
            return record
        earlier = {key: before[key] for key in ("grade", "reason", "at")}
        return record | {"again": self.token, "earlier": [*before.get("earlier", ()), earlier]}


PLAIN = Wish()
