"""The ASGI application: one address for every model.

`create_app(settings)` gives a plain ASGI callable. What answers a request lives elsewhere (`own`, `foreign`); this file
reads requests, finds out who asks, and turns every trouble into one plain sentence.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway import call as calls
from gateway.call import PATHS, Call
from gateway.errors import ApiError, no_endpoint, unknown_model, wrong_key
from gateway.foreign import Foreign
from gateway.keys import Key, KeyRing
from gateway.listing import callable_names, find_model, list_models
from gateway.live import Live
from gateway.log import say
from gateway.own import JSON, Own, open_session
from gateway.page import render
from gateway.providers import Providers
from gateway.replicas import Fleet
from gateway.router import LiteLLM
from gateway.routing import Endpoint
from gateway.store import open_store
from gateway.writer import Writer
from lifecycle.settings import Settings

LARGEST_BODY = 32 * 2**20
HTML = b"text/html; charset=utf-8"

Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]


class Gate:
    """Everything a worker holds while it runs."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        self.settings = settings
        open_store(settings.gateway_path).close()
        self.writer = Writer(settings.gateway_path)
        self.keys = KeyRing(settings.gateway_path)
        self.providers = Providers(settings.gateway.providers_file, environment)
        self.litellm = LiteLLM()
        self.session = open_session()
        self.fleet = Fleet(self._probe)
        self.fleet.on_change = self.litellm.note
        self.own = Own(self.session, self.fleet, self.writer, settings.gateway.gpu_hour_price)
        self.foreign = Foreign(self.litellm, self.writer)
        self.live = Live(settings.ledger_path, self.fleet, self.providers, self.keys, self.litellm, self.writer)
        self.live.look()
        self.litellm.sync(self.live.table, self.providers)
        self.litellm.load()
        self._watching = asyncio.create_task(self.live.run())

    async def _probe(self, endpoint: Endpoint) -> bool:
        return await self.own.probe(endpoint)

    async def close(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        self.live.close()
        self.fleet.close()
        await self.session.close()
        await asyncio.to_thread(self.writer.close)
        self.keys.close()


class AsgiReply:
    def __init__(self, send: Send, call_id: str):
        self._send = send
        self._id = call_id.encode()
        self.started = False

    async def start(self, status: int, content_type: bytes) -> None:
        self.started = True
        headers = [(b"content-type", content_type), (b"x-request-id", self._id), (b"cache-control", b"no-store")]
        if content_type.startswith(b"text/event-stream"):
            headers.append((b"x-accel-buffering", b"no"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data})


def create_app(settings: Settings, environment: Mapping[str, str] = os.environ) -> Callable[..., Awaitable[None]]:
    """The gateway as an ASGI app. `environment` holds the providers' keys."""
    gate: Gate | None = None

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        nonlocal gate
        if scope["type"] == "http" and gate is not None:
            await _http(gate, scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            try:
                gate = Gate(settings, environment)
            except Exception as error:  # the server must hear why it can't start
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await gate.close()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})

    return app


async def _http(gate: Gate, scope: dict, receive: Receive, send: Send) -> None:
    path, method = scope["path"], scope["method"]
    try:
        if (kind := PATHS.get(path)) is not None:
            _only(method, "POST")
            await _completion(gate, kind, scope, receive, send)
            return
        _only(method, "GET", "HEAD")
        status, content_type, body = _look_up(gate, path, scope)
    except ApiError as error:
        await _answer_error(send, error)
        return
    await _answer(send, status, content_type, b"" if method == "HEAD" else body)


def _look_up(gate: Gate, path: str, scope: dict) -> tuple[int, bytes, bytes]:
    """Everything that is not a call to a model: status, content type, body."""
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
        key = _caller(gate, scope)
        return 200, JSON, json.dumps(list_models(gate.live.table, gate.providers, gate.fleet, key.tags)).encode()
    if path.startswith("/v1/models/"):
        key = _caller(gate, scope)
        name = path.removeprefix("/v1/models/")
        return 200, JSON, json.dumps(find_model(gate.live.table, gate.providers, gate.fleet, key.tags, name)).encode()
    known = ", ".join(["/v1/models", *PATHS])
    raise ApiError(404, f"There is nothing at this address. Known: {known}.", "invalid_request_error", "unknown_url")


async def _completion(gate: Gate, kind: str, scope: dict, receive: Receive, send: Send) -> None:
    key = _caller(gate, scope)
    raw = await _read(scope, receive)
    if raw is None:
        return
    call = calls.parse(kind, key, raw, _header(scope, b"traceparent"))
    reply = AsgiReply(send, call.id)
    work = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        work.cancel()

    watching = asyncio.create_task(watch())
    try:
        await _answer_call(gate, call, reply)
    except asyncio.CancelledError:
        if not gone:
            raise
        work.uncancel()
    except ApiError as error:
        await _tell(gate, call, reply, send, error)
    except Exception as error:  # our own mistake: the caller still gets a sentence, the operator the kind
        say("request.crashed", id=call.id, kind=type(error).__name__, reason=str(error)[:300])
        sentence = f"The gateway failed on this request ({call.id}). Tell its operator."
        await _tell(gate, call, reply, send, ApiError(500, sentence, "server_error", "internal"))
    finally:
        watching.cancel()
        call.abandon(gate.writer)


async def _answer_call(gate: Gate, call: Call, reply: AsgiReply) -> None:
    tags = call.caller.tags
    if candidates := gate.live.table.find(call.asked, tags):
        if not any(one.endpoints for one in candidates):
            call.provider, call.model, call.deployment_id = "own", candidates[0].model, candidates[0].id
            raise no_endpoint(call.asked, "its server is starting or moving")
        await gate.own.answer(call, candidates, reply)
    elif (model := gate.providers.find(call.asked, tags)) is not None:
        await gate.foreign.answer(call, model, reply)
    else:
        call.settled = True  # nothing was asked of anybody: no row
        raise unknown_model(call.asked, callable_names(gate.live.table, gate.providers, tags))


async def _tell(gate: Gate, call: Call, reply: AsgiReply, send: Send, error: ApiError) -> None:
    """Account for a failed call and tell its caller, as an answer or inside the stream."""
    call.status = error.status
    with contextlib.suppress(ApiError):  # the ledger is down: that is then the smaller trouble
        await call.settle(gate.writer)
    if reply.started:
        await reply.end(error.event())
    else:
        await _answer_error(send, error, call.id)


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        sentence = f"This address takes {' or '.join(allowed)}, not {method[:20]}."
        raise ApiError(405, sentence, "invalid_request_error", "method_not_allowed")


def _header(scope: dict, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _caller(gate: Gate, scope: dict) -> Key:
    scheme, _, plaintext = _header(scope, b"authorization").partition(" ")
    key = gate.keys.caller(plaintext.strip(), time.time()) if scheme.lower() == "bearer" else None
    if key is None:
        raise wrong_key()
    return key


async def _read(scope: dict, receive: Receive) -> bytes | None:
    """The request's body; None when the caller hung up while sending it."""
    length = _header(scope, b"content-length")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise _too_large()
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> ApiError:
    sentence = f"The request is larger than {LARGEST_BODY // 2**20} MiB. Send less at once."
    return ApiError(413, sentence, "invalid_request_error", "request_too_large")


async def _answer(send: Send, status: int, content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-store"), *more]
    if content_type == HTML:
        headers.append((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer_error(send: Send, error: ApiError, request_id: str = "") -> None:
    more = []
    if error.retry_after_s is not None:
        more.append((b"retry-after", str(error.retry_after_s).encode()))
    if error.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if request_id:
        more.append((b"x-request-id", request_id.encode()))
    if error.status in (401, 405, 413):
        say("refused", status=error.status, code=error.code)
    await _answer(send, error.status, JSON, error.body(), *more)
