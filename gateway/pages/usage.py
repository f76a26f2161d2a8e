"""GET /v1/usage: what a key used, or everybody's for an admin's key; JSON or CSV. The page beside it shows it."""

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gateway.auth.key import Key
from gateway.errors import bad_request
from gateway.ledger.command import as_csv, as_data, read_usage
from gateway.ledger.reports import GROUPS
from gateway.pages.files import page
from lifecycle.errors import Refused

if TYPE_CHECKING:
    from gateway.gate import Gate

JSON = b"application/json"
CSV = b"text/csv; charset=utf-8"
OFFERED = tuple(group for group in GROUPS if group != "key_id")


def render(gate: "Gate") -> bytes:
    return page("usage", here="usage", site=gate.settings.site.name, groups=OFFERED)


async def answer(gate: "Gate", key: Key, query: bytes, everybody: bool = False) -> tuple[bytes, bytes]:
    """(content type, body) for ?by=model,day&days=30&format=json. ApiError(400) says what is wrong with it."""
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    by = [one.strip() for one in asked.get("by", "model").split(",") if one.strip()]
    only = None if everybody else key.id
    try:
        days = float(asked.get("days", "30"))
        found = await asyncio.to_thread(read_usage, gate.settings, by, days, only)
    except ValueError:
        raise bad_request("`days` is a number, like 30.") from None
    except Refused as error:
        raise bad_request(error.advice) from None
    if asked.get("format", "json") == "csv":
        return CSV, as_csv(found, by).encode()
    whose = "everybody" if everybody else key.name
    return JSON, json.dumps({"by": by, "days": days, "whose": whose, "data": as_data(found, by)}).encode()
