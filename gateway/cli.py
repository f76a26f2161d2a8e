"""What `dayzero keys …` and `dayzero usage` do: plain functions that return the text to print."""

import csv
import io
import json
import time
from collections.abc import Collection

from gateway import keys
from gateway.ledger.reports import totals
from gateway.store import open_store
from lifecycle.settings import Settings


def issue_key(
    settings: Settings, name: str, tags: Collection[str], team: str = "", days: float | None = None, by: str = "dayzero"
) -> str:
    """The new key alone, so that a script can take it; it is never shown again. `days`: until it expires."""
    expires_at = None if days is None else time.time() + days * 86400
    return keys.issue(open_store(settings.gateway_path), name, tags, team, expires_at, by)


def list_keys(settings: Settings) -> str:
    found = keys.list_keys(open_store(settings.gateway_path))
    now = time.time()
    lines = [("KEY", "NAME", "TEAM", "TAGS", "ISSUED", "STATE")]
    for key in found:
        state = "revoked" if key.revoked_at is not None else "living" if key.alive(now) else "expired"
        lines.append((key.prefix, key.name, key.team, ",".join(sorted(key.tags)), _day(key.created_at), state))
    return _table(lines)


def revoke_key(settings: Settings, which: str, by: str = "dayzero") -> str:
    key = keys.revoke(open_store(settings.gateway_path), which, by)
    return f"{key.prefix} ({key.name}) is revoked: requests with it are refused from now on."


def report_usage(settings: Settings, by: str = "model", days: float = 30, format: str = "table") -> str:
    """Sums per `by` (reports.GROUPS) over the last days, as table, csv or json."""
    open_store(settings.gateway_path).close()
    rows = totals(settings.gateway_path, by, time.time() - days * 86400)
    if format == "json":
        return json.dumps(rows, indent=2)
    names = ["what", "requests", "failed", "prompt_tokens", "completion_tokens", "cost"]
    if format == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
    lines = [(by.upper(), "REQUESTS", "FAILED", "TOKENS IN", "TOKENS OUT", "COST")]
    lines += [(*(str(row[name]) for name in names[:-1]), f"{row['cost']:.4f}") for row in rows]
    return _table(lines)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _table(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
