"""The ASGI application: everything that is not a call to a model. Those are in `front`."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from gateway import metrics
from gateway.errors import ApiError, wrong_key
from gateway.gate import Gate
from gateway.keys import Key
from gateway.listing import find_model, list_models
from gateway.page import render
from gateway.ways import WAYS
from lifecycle.deployments import CANDIDATE_TAG

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"

Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]


class App:
    def __init__(self, gate: Gate):
        self._gate = gate

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        try:
            _only(scope["method"], "GET", "HEAD")
            if scope["path"] == "/metrics":
                status, content_type, body = await _metrics(self._gate, scope)
            else:
                status, content_type, body = _look_up(self._gate, scope["path"], scope)
        except ApiError as error:
            await _answer(send, error.status, JSON, error.body(), *_headers(error))
            return
        await _answer(send, status, content_type, b"" if scope["method"] == "HEAD" else body)


def _look_up(gate: Gate, path: str, scope: dict) -> tuple[int, bytes, bytes]:
    """Status, content type, body."""
    if path == "/healthz":
        return 200, JSON, b'{"status":"ok"}'
    if path == "/readyz":
        problem = gate.live.problem
        return (503, JSON, json.dumps({"status": "not ready", "reason": problem}).encode()) if problem else (
            200, JSON, json.dumps({"status": "ready", "generation": gate.live.table.generation}).encode()
        )
    if path == "/":
        return 200, HTML, render(gate.settings, gate.live, gate.fleet, gate.providers, gate.litellm).encode()
    if path == "/v1/models":
        key = caller(gate, scope)
        return 200, JSON, json.dumps(list_models(gate.live.table, gate.providers, gate.fleet, key)).encode()
    if path.startswith("/v1/models/"):
        key = caller(gate, scope)
        name = path.removeprefix("/v1/models/")
        return 200, JSON, json.dumps(find_model(gate.live.table, gate.providers, gate.fleet, key, name)).encode()
    known = ", ".join(["/v1/models", *WAYS])
    raise ApiError(404, f"There is nothing at this address. Known: {known}.", "invalid_request_error", "unknown_url")


async def _metrics(gate: Gate, scope: dict) -> tuple[int, bytes, bytes]:
    """It names candidates: only for keys that may see them."""
    if CANDIDATE_TAG not in caller(gate, scope).tags:
        sentence = "Metrics show candidates too. Use a key with the tag candidate: `dayzero keys create`."
        raise ApiError(403, sentence, "permission_error", "insufficient_scope")
    live, store = gate.live, gate.settings.gateway_path
    return 200, metrics.TEXT, await asyncio.to_thread(metrics.render, store, live.table, live.problem)


def caller(gate: Gate, scope: dict) -> Key:
    """Whose key the request carries. Raises ApiError(401)."""
    return bearer(gate, next((value for name, value in scope["headers"] if name == b"authorization"), b""))


def bearer(gate: Gate, authorization: bytes) -> Key:
    scheme, _, plaintext = authorization.decode("latin-1").partition(" ")
    key = gate.keys.caller(plaintext.strip(), time.time()) if scheme.lower() == "bearer" else None
    if key is None:
        raise wrong_key()
    return key


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        sentence = f"This address takes {' or '.join(allowed)}, not {method[:20]}."
        raise ApiError(405, sentence, "invalid_request_error", "method_not_allowed")


def _headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    more = []
    if error.retry_after_s is not None:
        more.append((b"retry-after", str(error.retry_after_s).encode()))
    if error.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    return more


async def _answer(send: Send, status: int, content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-store"), *more]
    if content_type == HTML:
        headers.append((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
