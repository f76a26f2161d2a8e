"""How well deployments answered: what decides whether a successor may have more of the requests."""

from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from statistics import median

from gateway.store import Connection, Where, read_only
from lifecycle.swaps import Quality

FAILED_ATTEMPT = (
    "INSERT INTO failed_attempts (at, request_id, deployment_id, endpoint_id, reason) VALUES (?, ?, ?, ?, ?)"
)
SWEEP_ATTEMPTS = "DELETE FROM failed_attempts WHERE at < ?"
KEEP_ATTEMPTS_S = 7 * 86400.0

SEEN = """
SELECT request_id, CASE WHEN status >= 500 THEN 1 ELSE 0 END, CASE WHEN status < 400 THEN ttft_s END FROM usage
WHERE deployment_id = ? AND at >= ? AND status <> 499
UNION ALL
SELECT request_id, 1, NULL FROM failed_attempts WHERE deployment_id = ? AND at >= ?"""


def quality(where: Where, deployments: Collection[str], since: float) -> dict[str, Quality]:
    """Of each deployment since then (epoch seconds UTC). A request that another server had to answer has failed here.

    Refusals that are the caller's own fault, and callers who hung up, count neither way.
    """
    if isinstance(where, Path) and not where.exists():
        return {one: Quality() for one in deployments}
    with closing(read_only(where)) as connection:
        return {one: _of(connection, one, since) for one in deployments}


def _of(connection: Connection, deployment: str, since: float) -> Quality:
    failed: set[str] = set()
    every: set[str] = set()
    times: list[float] = []
    for request, bad, ttft_s in connection.execute(SEEN, (deployment, since, deployment, since)):
        every.add(request)
        if bad:
            failed.add(request)
        elif ttft_s is not None:
            times.append(ttft_s)
    return Quality(requests=len(every), failed=len(failed), ttft_s=median(times) if times else None)
