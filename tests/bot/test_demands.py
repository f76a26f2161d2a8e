"""What the gateway's workers counted reaches the scaler; no word is not 'nobody asks'."""

import time
from pathlib import Path

import pytest

from bot import demands
from bot.demands import GatewayDemands
from gateway.demand import LOAD, WANTED
from gateway.store import open_store
from lifecycle.demand import Demand


def test_from_the_workers_to_the_scaler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Summed over workers; a model that nobody asked for is known as such; without a gateway there is no word; a file
    that can't be read for a moment is no word either."""
    path, now = tmp_path / "gateway.db", time.time()
    monkeypatch.setattr(demands, "FRESH_S", 0.0)
    asked = GatewayDemands(path)
    assert asked.of("a") is None
    store = open_store(path)
    assert asked.of("a") == Demand()
    for worker in ("1", "2"):
        store.execute(LOAD, (worker, "a", 3, 1, now + 60))
    store.execute(WANTED, ("a", now, now))
    store.commit()
    assert asked.of("a") == Demand(6, 2, now, now)
    assert asked.of("b") == Demand()
    monkeypatch.setattr(demands, "read", lambda path: {})
    assert asked.of("a") is None
    store.close()
