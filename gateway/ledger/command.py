"""What `dayzero usage` prints: tables, CSV and JSON."""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.ledger.bill import Whole, whole
from gateway.ledger.reports import SUMS
from gateway.store import open_store
from lifecycle.errors import Refused
from lifecycle.settings import Settings

DAY_S = 86400

COLUMNS = (*SUMS, "unpriced", "cost_with_idle")
HEADINGS = {
    "requests": "REQUESTS",
    "failed": "FAILED",
    "prompt_tokens": "TOKENS IN",
    "cached_tokens": "CACHED",
    "completion_tokens": "TOKENS OUT",
    "reasoning_tokens": "REASONING",
    "cost": "COST",
    "cost_with_idle": "WITH IDLE",
}


def read_usage(settings: Settings, by: Sequence[str], days: float, key_id: int | None = None) -> Whole:
    """The last `days` days. Refused when that is no time at all, or for an unknown group."""
    if not 0 < days <= 36500:
        raise Refused(f"There is no usage of the last {days:g} days.", "Say --days 30.")
    open_store(settings.gateway_store).close()
    now = time.time()
    price = settings.gateway.gpu_hour_price
    return whole(settings.gateway_store, settings.ledger_path, price, by, now - days * DAY_S, now, key_id)


def as_data(found: Whole, by: Sequence[str]) -> list[dict]:
    return [{name: row[name] for name in (*by, *COLUMNS)} for row in found.rows]


def as_json(found: Whole, by: Sequence[str]) -> str:
    return json.dumps(as_data(found, by), indent=2)


def as_csv(found: Whole, by: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, (*by, *COLUMNS), lineterminator="\n")
    writer.writeheader()
    for row in as_data(found, by):
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return out.getvalue()


def as_table(found: Whole, by: Sequence[str]) -> str:
    lines = [(*(one.upper() for one in by), *HEADINGS.values())]
    lines += [(*(str(row[one]) for one in by), *(_cell(row, name) for name in HEADINGS)) for row in found.rows]
    text = table(lines)
    if found.unused:
        text += f"\n\nGPUs held on days without a token: {found.unused:.2f}. `dayzero usage --gpus` says which."
    unpriced = sum(row["unpriced"] for row in found.rows)
    if unpriced:
        text += f"\n\n{unpriced} answered requests have no known price: set input_price and output_price."
    return text


def gpus_data(found: Whole) -> list[dict]:
    return [asdict(bill) | {"idle_share": bill.idle_share, "per_million": bill.per_million} for bill in found.bills]


def gpus_table(found: Whole) -> str:
    """Our own deployments: what Slurm allocated, how much of it answered requests, what a million tokens came to."""
    lines = [("DEPLOYMENT", "MODEL", "GPU-HOURS", "COST", "IDLE", "TOKENS", "PER MILLION")]
    for bill in found.bills:
        per_million = "–" if bill.per_million is None else f"{bill.per_million:.2f}"
        lines.append(
            (bill.deployment_id, bill.model, f"{bill.gpu_hours:.1f}", f"{bill.cost:.2f}", f"{bill.idle_share:.0%}",
             str(bill.tokens), per_million)
        )  # fmt: skip
    return table(lines)


def gpus_csv(found: Whole) -> str:
    names = ("deployment_id", "model", "gpu_hours", "cost", "busy_cost", "idle_share", "tokens", "per_million")
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(row[name]) for name in names} for row in gpus_data(found))
    return out.getvalue()


def table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cell(row: Mapping, name: str) -> str:
    return f"{row[name]:.4f}" if name.startswith("cost") else str(row[name])


def _harmless(value: object) -> object:
    """A name that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
