"""A report with the whole bill in it: what requests cost while they ran, and what GPUs cost while they were held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.ledger.allocation import Bill, bills, gpu_hours, shares
from gateway.ledger.held import held
from gateway.ledger.reports import day_name, report

OWN = "own"


@dataclass(frozen=True)
class Whole:
    """`rows`: as reports.report gives them, with `cost_with_idle`. `unused`: GPUs held on days without a token."""

    rows: list[dict]
    bills: list[Bill]
    unused: float


def whole(
    store: Path,
    ledger: Path,
    price: float,
    by: Sequence[str],
    since: float,
    until: float,
    key_id: int | None = None,
) -> Whole:
    """Sums by these groups (reports.GROUPS). `price`: of one GPU-hour. `key_id`: of this key alone, without `bills`."""
    rows = report(store, by, since, until, key_id)
    fine = report(store, list(dict.fromkeys((*by, "day", "deployment", "provider", "key_id"))), since, until)
    every = held(ledger, since, until)
    hours = {(day_name(day), name): value for (day, name), value in gpu_hours(every, since, until).items()}
    tokens = (
        ((row["day"], row["deployment"]), (row["key_id"], *(row[one] for one in by)), _tokens(row))
        for row in fine
        if row["provider"] == OWN
    )
    parts, unused = shares(hours, price, tokens)
    extra: dict[tuple, float] = {}
    for group, cost in (*_elsewhere(fine, by, hours), *((key, part) for key, part in parts.items())):
        if key_id is None or group[0] == key_id:
            extra[group[1:]] = extra.get(group[1:], 0.0) + cost
    for row in rows:
        row["cost_with_idle"] = extra.get(tuple(row[one] for one in by), 0.0)
    if key_id is not None:
        return Whole(rows, [], 0.0)
    used: dict[str, tuple[float, int]] = {}
    for row in fine:
        cost, count = used.get(row["deployment"], (0.0, 0))
        used[row["deployment"]] = (cost + row["cost"], count + _tokens(row))
    return Whole(rows, bills(every, since, until, price, used), unused)


def _elsewhere(fine: list[dict], by: Sequence[str], hours: dict) -> Iterator[tuple[tuple, float]]:
    """Cost that no allocation explains: providers' prices, and servers that the ledger knows no GPUs of."""
    for row in fine:
        known = row["provider"] == OWN and (row["day"], row["deployment"]) in hours
        if not known or not _tokens(row):
            yield (row["key_id"], *(row[one] for one in by)), 0.0 if known else row["cost"]


def _tokens(row: dict) -> int:
    return row["prompt_tokens"] + row["completion_tokens"]
