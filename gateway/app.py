"""The ASGI application: everything that is not a call to a model. Those are in `front`."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway import metrics, openapi
from gateway.auth.key import Key
from gateway.credentials import resolve
from gateway.errors import ApiError
from gateway.gate import Gate
from gateway.listing import anthropic_list, anthropic_model, find_model, list_models
from gateway.pages import models, report, usage
from gateway.pages.files import SECURITY, asset, page
from gateway.request import credential
from gateway.ways import WAYS
from lifecycle.deployments import CANDIDATE_TAG
from lifecycle.reports import PATH as REPORTS

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
            answer = await _route(scope["path"])(self._gate, scope)
        except ApiError as error:
            await _answer(send, Answer(JSON, error.body(), error.status, tuple(_headers(error))))
            return
        await _answer(send, replace(answer, body=b"") if scope["method"] == "HEAD" else answer)


@dataclass(frozen=True)
class Answer:
    content_type: bytes
    body: bytes
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


Route = Callable[[Gate, dict], Awaitable[Answer]]


async def _health(gate: Gate, scope: dict) -> Answer:
    """The process lives: its loop answers. Nothing else is asked, so that a sick ledger restarts nobody."""
    return Answer(JSON, b'{"status":"ok"}')


async def _ready(gate: Gate, scope: dict) -> Answer:
    """A call could be answered and accounted for: the routing was read and the ledger takes rows."""
    if problem := gate.problem:
        return Answer(JSON, json.dumps({"status": "not ready", "reason": problem}).encode(), 503)
    return Answer(JSON, json.dumps({"status": "ready", "generation": gate.live.table.generation}).encode())


async def _metrics(gate: Gate, scope: dict) -> Answer:
    """It names candidates: only for keys that may see them."""
    if CANDIDATE_TAG not in (await caller(gate, scope)).tags:
        sentence = "Metrics show candidates too. Use a key with the tag candidate: `dayzero keys create`."
        raise ApiError(403, sentence, "permission_error", "insufficient_scope")
    store, problem = gate.settings.gateway_path, gate.problem
    return Answer(metrics.TEXT, await asyncio.to_thread(metrics.render, store, gate.live.table, problem))


async def _models(gate: Gate, scope: dict) -> Answer:
    key = await caller(gate, scope)
    found = list_models(gate.live.table, gate.providers, gate.fleet, key)
    return Answer(JSON, json.dumps(anthropic_list(found) if _speaks_anthropic(scope) else found).encode())


async def _model(gate: Gate, scope: dict) -> Answer:
    key, name = await caller(gate, scope), scope["path"].removeprefix(ONE_MODEL)
    found = find_model(gate.live.table, gate.providers, gate.fleet, key, name)
    return Answer(JSON, json.dumps(anthropic_model(found) if _speaks_anthropic(scope) else found).encode())


def _speaks_anthropic(scope: dict) -> bool:
    """Their clients ask at the address of OpenAI's, and say so."""
    return any(name == b"anthropic-version" for name, _ in scope["headers"])


async def _usage(gate: Gate, scope: dict) -> Answer:
    """An admin's key opens nothing else here; it sees everybody's."""
    scheme, _, plaintext = credential(dict(scope["headers"])).decode("latin-1").partition(" ")
    gate.admins.refresh()
    admin = gate.admins.caller(plaintext.strip(), time.time()) if scheme.lower() == "bearer" else None
    key = admin or await caller(gate, scope)
    return Answer(*await usage.answer(gate, key, scope["query_string"], everybody=admin is not None))


async def _openapi(gate: Gate, scope: dict) -> Answer:
    return Answer(JSON, json.dumps(openapi.document()).encode())


async def _models_page(gate: Gate, scope: dict) -> Answer:
    return Answer(HTML, await models.render(gate), headers=SECURITY)


async def _try_page(gate: Gate, scope: dict) -> Answer:
    return Answer(HTML, page("try", here="try", site=gate.settings.site.name), headers=SECURITY)


async def _usage_page(gate: Gate, scope: dict) -> Answer:
    return Answer(HTML, usage.render(gate), headers=SECURITY)


async def _asset(gate: Gate, scope: dict) -> Answer:
    if (found := asset(scope["path"].removeprefix(ASSETS))) is None:
        raise _unknown()
    return Answer(*found, headers=SECURITY)


async def _report(gate: Gate, scope: dict) -> Answer:
    """The link is the key: it comes from Slack or a letter, where nobody has a key at hand."""
    body = await asyncio.to_thread(report.read, gate.settings.site.shared, scope["path"].removeprefix(REPORTS))
    if body is None:
        sentence = "There is no report behind this link. `dayzero status` with the deployment's name shows the newest."
        raise ApiError(404, sentence, "invalid_request_error", "unknown_report")
    return Answer(HTML, body, headers=report.SECURITY)


ONE_MODEL, ASSETS = "/v1/models/", "/assets/"
ROUTES: dict[str, Route] = {
    "/": _models_page,
    "/try": _try_page,
    "/usage": _usage_page,
    "/openapi.json": _openapi,
    "/healthz": _health,
    "/readyz": _ready,
    "/metrics": _metrics,
    "/v1/models": _models,
    "/v1/usage": _usage,
}
BELOW: dict[str, Route] = {ONE_MODEL: _model, ASSETS: _asset, REPORTS: _report}


def _route(path: str) -> Route:
    if (found := ROUTES.get(path)) is not None:
        return found
    for prefix, route in BELOW.items():
        if path.startswith(prefix):
            return route
    raise _unknown()


def _unknown() -> ApiError:
    known = ", ".join(["/v1/models", "/v1/usage", *WAYS])
    return ApiError(404, f"There is nothing at this address. Known: {known}.", "invalid_request_error", "unknown_url")


async def caller(gate: Gate, scope: dict) -> Key:
    """Who sent the request. Raises ApiError(401)."""
    return await resolve(gate, credential(dict(scope["headers"])))


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


async def _answer(send: Send, answer: Answer) -> None:
    headers = [(b"content-type", answer.content_type), (b"cache-control", b"no-store"), *answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
