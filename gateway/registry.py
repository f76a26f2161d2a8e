"""The gateway as the lifecycle sees it: has every worker taken over the routing of this generation?"""

import sqlite3
import time
from collections.abc import Collection

from gateway.quality import quality
from gateway.store import read_only
from lifecycle.settings import Settings
from lifecycle.swaps import Quality

ALIVE_S = 3.0
"""A worker that was not heard of for this long is not counted."""


class Registry:
    """Implements lifecycle.ports.Registry by reading what the workers report in gateway.db."""

    def __init__(self, settings: Settings):
        self._store = settings.gateway_store  # of all hosts

    def serves(self, generation: int) -> bool:
        """True when there is a live worker and every one has this generation or a later one."""
        held = self.generations()
        return bool(held) and min(held.values()) >= generation

    def quality(self, deployments: Collection[str], since: float) -> dict[str, Quality]:
        """How each of these deployments has answered since then."""
        try:
            return quality(self._store, deployments, since)
        except sqlite3.Error:  # no schema yet, or nobody answers there: nothing is known, and nothing is worse
            return {one: Quality() for one in deployments}

    def generations(self) -> dict[str, int]:
        """worker → the generation it serves, of the workers that live."""
        connection = None
        try:
            connection = read_only(self._store)
            rows = connection.execute(
                "SELECT worker, generation FROM workers WHERE seen_at > ?", (time.time() - ALIVE_S,)
            ).fetchall()
        except sqlite3.Error:  # not there yet, or no schema yet: the gateway has never run
            return {}
        finally:
            if connection is not None:
                connection.close()
        return {row["worker"]: row["generation"] for row in rows}
