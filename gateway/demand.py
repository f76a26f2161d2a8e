"""What callers ask of each deployment, over all workers: written by the workers, read by who scales and wakes."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing

from gateway.store import Where, read_only
from lifecycle.demand import Demand

ALIVE_S = 5.0
"""What a worker said counts for so long; one that died has nothing at hand any more."""

LOAD = "INSERT OR REPLACE INTO load (worker, deployment_id, inflight, waiting, at) VALUES (?, ?, ?, ?, ?)"
UNLOAD = "DELETE FROM load WHERE worker = ?"
SWEEP_LOAD = "DELETE FROM load WHERE at < ?"
ASKED = """
INSERT INTO wakes (deployment_id, last_request_at) VALUES (?, ?)
ON CONFLICT (deployment_id) DO UPDATE
SET last_request_at = max(coalesce(last_request_at, 0), excluded.last_request_at)"""
WANTED = """
INSERT INTO wakes (deployment_id, last_request_at, wanted_at) VALUES (?, ?, ?)
ON CONFLICT (deployment_id) DO UPDATE SET last_request_at = excluded.last_request_at, wanted_at = excluded.wanted_at"""

QUERY = """
SELECT deployment_id, sum(inflight) AS inflight, sum(waiting) AS waiting,
       max(last_request_at) AS last_request_at, max(wanted_at) AS wanted_at
FROM (SELECT deployment_id, inflight, waiting, NULL AS last_request_at, NULL AS wanted_at FROM load WHERE at >= ?
      UNION ALL SELECT deployment_id, 0, 0, last_request_at, wanted_at FROM wakes) AS said
GROUP BY deployment_id"""


def read(path: Where) -> Mapping[str, Demand]:
    """Deployment → its demand, of all that were ever asked for. Empty while there is no gateway.db with such tables."""
    try:
        with closing(read_only(path)) as connection:
            rows = connection.execute(QUERY, (time.time() - ALIVE_S,)).fetchall()
    except sqlite3.Error:
        return {}
    return {
        row["deployment_id"]: Demand(row["inflight"], row["waiting"], row["last_request_at"], row["wanted_at"])
        for row in rows
    }
