"""The Demands port over gateway.db: what the gateway's workers have counted, read at most once a second."""

import time
from collections.abc import Mapping
from pathlib import Path

from gateway.demand import read
from gateway.store import Where
from lifecycle.demand import Demand

FRESH_S = 1.0


class GatewayDemands:
    """An empty answer after one that was not is a stumble (a locked file), not 'nobody asks'."""

    def __init__(self, path: Where):
        self._path = path
        self._read_at = float("-inf")
        self._seen: Mapping[str, Demand] | None = None

    def of(self, deployment: str) -> Demand | None:
        """None: the gateway's word can't be had now."""
        if time.monotonic() - self._read_at >= FRESH_S:
            found = read(self._path)
            self._read_at = time.monotonic()
            if not found and self._seen:
                return None
            self._seen = found
        if self._seen is None or (isinstance(self._path, Path) and not self._path.exists()):
            return None
        return self._seen.get(deployment, Demand())
