"""What `dayzero keys …` does: plain functions that return the text to print."""

import time
from collections.abc import Collection

from gateway import keys
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


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _table(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
