"""The sums that are kept: which columns they have and how a usage row adds to them.

`usage_hours` is for people (by key, team, model …), `usage_ever` for Prometheus (by model, provider, status; never
smaller than before). A row is in the sums, or its id is above `rolled`; never both, because one transaction does both.
"""

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Upper edges of the histograms. usage_ever has a column for each: another list needs another migration."""

HOUR = "CAST(at / 3600 AS INTEGER)"

_COUNTED = {
    "requests": "count(*)",
    "prompt_tokens": "coalesce(sum(prompt_tokens), 0)",
    "completion_tokens": "coalesce(sum(completion_tokens), 0)",
    "cost": "coalesce(sum(cost), 0.0)",
    "ttft_s": "coalesce(sum(ttft_s), 0.0)",
    "ttft_count": "count(ttft_s)",
    "duration_s": "coalesce(sum(duration_s), 0.0)",
}

HOURS_OF = ("hour", "key_id", "team", "model", "deployment_id", "provider")
HOURS_SUMS = {
    **_COUNTED,
    "failed": "coalesce(sum(CASE WHEN status >= 400 THEN 1 ELSE 0 END), 0)",
    "cached_tokens": "coalesce(sum(cached_tokens), 0)",
    "reasoning_tokens": "coalesce(sum(reasoning_tokens), 0)",
    "unpriced": "coalesce(sum(CASE WHEN cost IS NULL AND status < 400 THEN 1 ELSE 0 END), 0)",
}

EVER_OF = ("model", "provider", "status")
EVER_SUMS = {
    **_COUNTED,
    **{
        f"{what}_le_{n}": f"coalesce(sum(CASE WHEN {column} <= {edge} THEN 1 ELSE 0 END), 0)"
        for what, column in (("ttft", "ttft_s"), ("duration", "duration_s"))
        for n, edge in enumerate(BUCKETS_S)
    },
}


def hours_of_rows(where: str) -> str:
    """SELECT in the shape of usage_hours, out of the usage rows that fit."""
    own = f"{HOUR} AS hour, key_id, team, model, coalesce(deployment_id, '') AS deployment_id, provider"
    sums = ", ".join(f"{fold} AS {name}" for name, fold in HOURS_SUMS.items())
    return (
        f"SELECT {own}, {sums} FROM usage WHERE {where}"
        f" GROUP BY {HOUR}, key_id, team, model, coalesce(deployment_id, ''), provider"
    )


def ever_of_rows(where: str) -> str:
    """SELECT in the shape of usage_ever, out of the usage rows that fit."""
    sums = ", ".join(f"{fold} AS {name}" for name, fold in EVER_SUMS.items())
    return f"SELECT {', '.join(EVER_OF)}, {sums} FROM usage WHERE {where} GROUP BY {', '.join(EVER_OF)}"


def add_to(table: str, of: tuple[str, ...], sums: dict[str, str], select: str) -> str:
    """INSERT that adds what `select` gives to the rows that are there."""
    adding = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)
    return (
        f"INSERT INTO {table} ({', '.join((*of, *sums))}) {select} "
        f"ON CONFLICT ({', '.join(of)}) DO UPDATE SET {adding}"
    )
