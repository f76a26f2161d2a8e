"""Sums people ask for, by key, team, model, deployment, provider or day. Exact to the hour; for what is older than the
rows that are kept, to the day (UTC)."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from gateway.ledger.sums import HOURS_SUMS, hours_of_rows
from gateway.store import StoreError, read_only
from lifecycle.errors import Refused

HOUR_S = 3600
EPOCH = date(1970, 1, 1)

GROUPS = {
    "model": "hours.model",
    "key": "coalesce(keys.name || ' (' || keys.prefix || ')', 'key ' || hours.key_id)",
    "team": "hours.team",
    "deployment": "CASE WHEN hours.deployment_id = '' THEN hours.provider ELSE hours.deployment_id END",
    "provider": "hours.provider",
    "key_id": "hours.key_id",
    "day": "CAST(hours.hour / 24 AS INTEGER)",
}
SUMS = ("requests", "failed", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost")
SUMMED = (*SUMS, "unpriced", "ttft_s", "ttft_count", "duration_s")


def totals(
    where: Path, by: str = "model", since: float = 0.0, until: float | None = None, key_id: int | None = None
) -> list[dict]:
    """Sums by one of GROUPS, which stands in `what`. Times: epoch seconds. `key_id`: of this key alone."""
    return [
        {"what": row.pop(by), **{name: row[name] for name in SUMS}}
        for row in report(where, [by], since, until, key_id)
    ]


def report(
    where: Path,
    by: Sequence[str] = ("model",),
    since: float = 0.0,
    until: float | None = None,
    key_id: int | None = None,
) -> list[dict]:
    """Sums by several of GROUPS, each a column of its own, with all of SUMMED. Refused for an unknown group.

    `unpriced`: answered requests whose cost nobody knows. `ttft_s` and `duration_s` are sums in seconds, of
    `ttft_count` and `requests` requests.
    """
    unknown = [one for one in by if one not in GROUPS]
    if unknown or not by:
        sentence = f"Usage can't be summed by {', '.join(unknown) or 'nothing'}."
        raise Refused(sentence, f"Choose from {', '.join(GROUPS)}.")
    first = int(since // HOUR_S)
    last = 2**40 if until is None else int(-(-until // HOUR_S))
    what = ", ".join(f"{GROUPS[one]} AS {one}_" for one in by)
    fresh = hours_of_rows("id > (SELECT id FROM rolled) AND at >= ? AND at < ?")
    columns = ", ".join(("hour, key_id, team, model, deployment_id, provider", *HOURS_SUMS))
    query = (
        f"SELECT {what}, {', '.join(f'sum(hours.{name}) AS {name}' for name in SUMMED)}"
        f" FROM (SELECT {columns} FROM usage_hours WHERE hour >= ? AND hour < ? UNION ALL {fresh}) AS hours"
        f" LEFT JOIN keys ON keys.id = hours.key_id {'' if key_id is None else 'WHERE hours.key_id = ?'}"
        f" GROUP BY {', '.join(str(n + 1) for n in range(len(by)))}"
        f" ORDER BY {', '.join(str(n + 1) for n in range(len(by)))}"
    )
    values = [first, last, first * HOUR_S, last * HOUR_S, *([] if key_id is None else [key_id])]
    try:
        connection = read_only(where)
        try:
            found = connection.execute(query, values).fetchall()
        finally:
            connection.close()
    except StoreError as error:
        raise Refused(f"The gateway's ledger holds no usage: {error}.", "Start the gateway once.") from None
    return [_row(by, row) for row in found]


def _row(by: Sequence[str], row: Sequence) -> dict:
    named = dict(zip((*by, *SUMMED), row, strict=True))
    if "day" in named:
        named["day"] = day_name(named["day"])
    return named


def day_name(day: int) -> str:
    """2026-11-23 of days since 1970-01-01."""
    return (EPOCH + timedelta(days=day)).isoformat()
