"""The answer to one request, as HTTP/1.1 in bytes. It is written through the door that the request came by."""

import asyncio
from typing import Protocol

from gateway.errors import ApiError
from gateway.log import say
from gateway.request import Request

REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large", 417: "Expectation Failed",
    422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Line(Protocol):
    """What a reply needs of its door. `full` is pending while the caller takes nothing more."""

    full: asyncio.Future | None

    def write(self, data: bytes) -> None: ...


class Hours(Protocol):
    """What it needs of the worker: the `date` header's line, and whether it is closing time."""

    date: bytes
    closing: bool


class HttpReply:
    """Implements call.Reply. `begin` for whoever has headers of his own."""

    __slots__ = ("_chunked", "_door", "_head", "_porch", "_request", "ended", "id", "keeps", "lines", "started")

    def __init__(self, door: Line, porch: Hours, request: Request):
        self._door = door
        self._porch = porch
        self._request = request
        self._head = b""
        self._chunked = False
        self.id = ""  # of the call
        self.lines = b""  # more headers
        self.started = False
        self.ended = False
        self.keeps = request.keep_alive

    async def start(self, status: int, content_type: bytes) -> None:
        more = b"x-accel-buffering: no\r\n" if content_type.startswith(b"text/event-stream") else b""
        lines = b"content-type: %b\r\nx-request-id: %b\r\ncache-control: no-store\r\n%b"
        self.begin(status, lines % (content_type, self.id.encode(), more))

    def begin(self, status: int, lines: bytes) -> None:
        self.started = True
        self.keeps = self.keeps and not self._porch.closing
        ending = b"" if self.keeps and self._request.modern else b"connection: keep-alive\r\n"
        if not self.keeps:
            ending = b"connection: close\r\n"
        reason = REASONS.get(status, "Status").encode()
        self._head = b"HTTP/1.1 %d %b\r\n%b%b%b%b" % (status, reason, self._porch.date, lines, self.lines, ending)

    async def write(self, data: bytes) -> None:
        if not data:
            return
        if self._head:
            self._chunked = self._request.modern
            if not self._chunked and self.keeps:  # HTTP/1.0 knows no chunks: the end of the connection is the end
                self.keeps = False
                self._head = self._head.replace(b"connection: keep-alive\r\n", b"connection: close\r\n")
            self._head += b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        self._door.write(self._head + self._frame(data))
        self._head = b""
        if self._door.full is not None:
            await self._door.full

    async def end(self, data: bytes) -> None:
        self.ended = True
        if self._head:
            self._door.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(data), data))
        else:
            self._door.write(self._frame(data) + (b"0\r\n\r\n" if self._chunked else b""))

    def _frame(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    async def error(self, error: ApiError) -> None:
        """An answer that is an error from its beginning."""
        lines = b"content-type: application/json\r\ncache-control: no-store\r\n"
        if error.retry_after_s is not None:
            lines += b"retry-after: %d\r\n" % error.retry_after_s
        if error.status == 401:
            lines += b"www-authenticate: Bearer\r\n"
        if self.id:
            lines += b"x-request-id: %b\r\n" % self.id.encode()
        if error.status in (401, 405, 408, 413, 431):
            say("refused", status=error.status, code=error.code)
        self.begin(error.status, lines)
        way = self._request.way
        await self.end(way.dialect.error(error) if way is not None else error.body())
