"""The arguments of a Web API call, however the client wrote them: query, form, JSON, JSON inside a form."""

import json

from aiohttp import web

from lab.slack.refusals import Refusal

NESTED = {
    "blocks": "invalid_blocks_format",
    "attachments": "invalid_attachments",
    "view": "invalid_arguments",
    "files": "invalid_arguments",
    "metadata": "invalid_metadata_format",
}


async def arguments(request: web.Request) -> dict:
    """All arguments by name, without empty ones; Refusal invalid_json and the like."""
    given: dict = dict(request.query)
    if request.content_type == "application/json":
        # auth.test of slack_sdk says application/json and sends no body at all
        body = await request.text()
        try:
            parsed = json.loads(body) if body.strip() else {}
        except ValueError:
            raise Refusal("invalid_json") from None
        if not isinstance(parsed, dict):
            raise Refusal("json_not_object")
        given.update(parsed)
    elif request.method == "POST":
        given.update(await request.post())
    for name, refusal in NESTED.items():
        if isinstance(given.get(name), str):
            try:
                given[name] = json.loads(given[name])
            except ValueError:
                raise Refusal(refusal) from None
    return {name: value for name, value in given.items() if value is not None}


def need(args: dict, *names: str) -> None:
    missing = [name for name in names if args.get(name) in (None, "")]
    if missing:
        raise Refusal("invalid_arguments", [f"[ERROR] missing required field: {name}" for name in missing])


def flag(args: dict, name: str, default: bool = False) -> bool:
    return str(args.get(name, default)).lower() in ("1", "true", "yes")


def page(args: dict, rows: list, default: int, most: int = 1000) -> tuple[list, dict]:
    """One page of rows and the `response_metadata` that leads to the next; Refusal invalid_cursor, invalid_limit."""
    try:
        limit = int(args.get("limit") or default)
        start = int(str(args.get("cursor") or "row:0").removeprefix("row:"))
    except ValueError:
        raise Refusal("invalid_cursor" if args.get("cursor") else "invalid_limit") from None
    if not 1 <= limit <= most:
        raise Refusal("invalid_limit")
    more = start + limit < len(rows)
    return rows[start : start + limit], {"next_cursor": f"row:{start + limit}" if more else ""}
