"""Slack's own requests to an app in HTTP mode: signed forms and JSON, with three seconds to answer."""

import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import aiohttp

from lab.slack.sockets import NotAcknowledged

FORM = "application/x-www-form-urlencoded"


def signed(secret: str, body: str, at: float) -> dict[str, str]:
    """The two headers that prove who sent it, and when."""
    stamp = str(int(at))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def packed(kind: str, payload: dict) -> tuple[str, str]:
    """(body, content type) as Slack sends this kind."""
    if kind == "slash_commands":
        return urlencode(payload), FORM
    if kind == "interactive":
        return urlencode({"payload": json.dumps(payload)}), FORM
    return json.dumps(payload), "application/json"


async def ask(url: str, secret: str, kind: str, payload: dict, within: float, **retry: object) -> object:
    """Send one request; the body of its answer as a dict or text, None when empty. NotAcknowledged otherwise."""
    body, content_type = packed(kind, payload)
    headers = {"Content-Type": content_type, **signed(secret, body, time.time())}
    if retry.get("retry_attempt"):
        headers |= {
            "X-Slack-Retry-Num": str(retry["retry_attempt"]),
            "X-Slack-Retry-Reason": str(retry["retry_reason"]),
        }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within)) as session,
            session.post(url, data=body.encode(), headers=headers) as answer,
        ):
            text = await answer.text()
            if answer.status != 200:
                raise NotAcknowledged("dispatch_failed")
    except (aiohttp.ClientConnectionError, ConnectionError):
        raise NotAcknowledged("dispatch_failed") from None
    except TimeoutError:
        raise NotAcknowledged("operation_timeout") from None
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
