"""ASGI middleware: notes every request, strikes with the faults, narrows the pipe. `/_lab/` itself passes untouched."""

import asyncio
import json
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.loopback.faults import Fault, Faults
from lab.loopback.journal import KEPT_HEADERS, Entry, Journal
from lab.loopback.pace import Pipe

CONTROL = "/_lab/"


class Cut(ConnectionError):
    """Raised on purpose in the middle of a body; uvicorn answers it by dropping the connection."""


class Traffic:
    """Wraps an app. `paced(path)` says whose bodies go through `pipe`."""

    def __init__(self, app: ASGIApp, journal: Journal, faults: Faults, pipe: Pipe, paced: Callable[[str], bool]):
        self.app, self.journal, self.faults, self.pipe, self.paced = app, journal, faults, pipe, paced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self.app(scope, receive, send)
            return
        entry = _entry(scope)
        self.journal.add(entry)
        fault = self.faults.take(entry.method, entry.target)
        entry.fault = fault is not None
        pipe = self.pipe if self.paced(entry.path) else Pipe()
        try:
            if fault is None:
                await self.app(scope, receive, _outlet(entry, pipe, None, send))
            else:
                await self._spoil(fault, pipe, entry, scope, receive, send)
        finally:
            entry.done = True

    async def _spoil(self, fault: Fault, pipe: Pipe, entry: Entry, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.hang:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        outlet = _outlet(entry, Pipe(fault.bytes_per_s) if fault.bytes_per_s else pipe, fault.cut_after, send)
        if fault.status:
            await _instead(fault, entry.method, outlet)
        else:
            await self.app(scope, receive, outlet)


def _entry(scope: Scope) -> Entry:
    headers = Headers(scope=scope)
    raw = scope.get("raw_path") or scope["path"].encode()
    return Entry(
        method=scope["method"],
        path=raw.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        authorized="authorization" in headers,
        headers={name: headers[name] for name in KEPT_HEADERS if name in headers},
    )


def _outlet(entry: Entry, pipe: Pipe, cut_after: int | None, send: Send) -> Send:
    async def outlet(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry.status = message["status"]
            await send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        cut = cut_after is not None and entry.sent + len(body) >= cut_after
        if cut:
            body = body[: cut_after - entry.sent]
        for piece in pipe.slices(body):
            await pipe.take(len(piece))
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            entry.sent += len(piece)
        if cut:
            raise Cut(f"after {entry.sent} bytes, as asked")
        if not more:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return outlet


async def _instead(fault: Fault, method: str, send: Send) -> None:
    body = json.dumps(fault.body if fault.body is not None else {"error": "injected by the lab"}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= {name.lower(): value for name, value in fault.headers.items()}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
