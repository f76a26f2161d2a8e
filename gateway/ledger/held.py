"""Which servers held which GPUs, out of the lifecycle's ledger: from when a job ran until it ended or was requeued.

As the service saw them, so a few seconds late at both ends.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.ledger.allocation import Held
from gateway.store import read_only
from lifecycle.servers import GONE, LOADING, QUEUED

_MOVES = """
    SELECT e.server_id, e.at, e.new FROM events e JOIN servers s ON s.id = e.server_id
    WHERE e.kind LIKE 'server.%' AND e.new IN (?, ?, ?) AND (s.state <> ? OR s.since > ?) ORDER BY e.server_id, e.id"""
_SERVERS = "SELECT s.id, d.id, d.model, d.plan FROM servers s JOIN deployments d ON d.id = s.deployment_id"


def held(ledger: Path, since: float, until: float) -> list[Held]:
    """Every allocation that overlaps [since, until); empty when there is no ledger yet."""
    try:
        connection = read_only(ledger)
    except sqlite3.OperationalError:
        return []
    try:
        moves = connection.execute(_MOVES, (LOADING, QUEUED, GONE, GONE, since)).fetchall()
        servers = {row[0]: (row[1], row[2], gpus(row[3])) for row in connection.execute(_SERVERS)}
    except sqlite3.OperationalError:  # no schema yet
        return []
    finally:
        connection.close()
    found = [Held(*servers[server], start, end) for server, start, end in spells(moves)]
    return [one for one in found if one.start < until and (one.end is None or one.end > since)]


def spells(moves: Iterable[tuple[int, float, str]]) -> Iterator[tuple[int, float, float | None]]:
    """(server, moment, new state) in order, server by server → (server, start, end) of each time it had its GPUs."""
    running: dict[int, float] = {}
    for server, at, new in moves:
        if new == LOADING:
            running.setdefault(server, at)
        elif server in running:
            yield server, running.pop(server), at
    for server, start in running.items():
        yield server, start, None


def gpus(plan: str) -> int:
    sizes = json.loads(plan)
    return int(sizes.get("nodes", 1)) * int(sizes.get("gpus_per_node", 1))
