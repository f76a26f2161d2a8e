"""The door: HTTP/1.1 on asyncio and httptools. One `Door` is one caller's connection.

It reads requests, however they come (in pieces, pipelined, too slowly, too large), within bounds, and has them
answered one after the other. A request that is refused before its body was read is answered, and then nothing more is
believed of that connection: where one message ends can be a matter of opinion, and smuggling lives on that.
"""

import asyncio
import contextlib
from collections import deque
from email.utils import formatdate
from math import inf
from typing import Protocol

import httptools

from gateway.errors import ApiError, bad_request
from gateway.log import say

LARGEST_HEAD = 2**16
LARGEST_BODY = 32 * 2**20
MOST_WAITING = 8
"""Pipelined requests of one connection that wait for the one before them; more stay in the kernel."""

HELD = 2**20
"""Bytes of them."""

IDLE_S = 75.0
HEAD_S = 15.0
BODY_S = 60.0
SLOWEST_BODY = 2**16  # bytes a second beyond that
STALL_S = 120.0
"""A caller that takes nothing of its answer for so long has gone."""

LINGER_S = 5.0
HIGH_WATER = 2**18

REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large", 417: "Expectation Failed",
    422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Request:
    """`headers` has lower-case names; of several of one name the last. `caller` is whoever `admit` found it to be."""

    __slots__ = ("body", "caller", "headers", "keep_alive", "method", "modern", "path", "query", "refusal")

    def __init__(self, method: str, path: str, query: bytes, headers: dict[bytes, bytes], modern: bool):
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.modern = modern  # HTTP/1.1
        self.keep_alive = False
        self.body: bytes | bytearray = b""
        self.caller: object = None
        self.refusal: ApiError | None = None


class House(Protocol):
    """What stands behind the doors."""

    def admit(self, request: Request) -> None:
        """Called with the head, before any body. Raises ApiError to refuse."""

    async def answer(self, request: Request, reply: "HttpReply") -> None:
        """Must bring the reply to its end, or raise."""


class Porch:
    """The doors of one worker: which there are, what time it is for them, and that it is closing time."""

    def __init__(self, house: House):
        self.house = house
        self.loop = asyncio.get_running_loop()
        self.doors: set[Door] = set()
        self.closing = False
        self.sweep()

    def door(self) -> "Door":
        return Door(self)

    def sweep(self) -> None:
        """Once a second: the date for answers, and an end to whoever is too slow."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = self.loop.time()
        for door in [door for door in self.doors if door.deadline < now]:
            door.expire()

    def close(self) -> None:
        """No more requests: idle connections end now, the others after their answer."""
        self.closing = True
        for door in list(self.doors):
            door.close_when_idle()

    async def drained(self, patience_s: float) -> None:
        """Wait until every answer is out, then no longer."""
        deadline = self.loop.time() + patience_s
        while self.doors and self.loop.time() < deadline:
            await asyncio.sleep(0.02)
        tasks = [door.active for door in self.doors if door.active is not None]
        for door in list(self.doors):
            door.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Door(asyncio.Protocol):
    def __init__(self, porch: Porch):
        self._porch = porch
        self._loop = porch.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._in_head = False
        self._body_here = 0  # bytes of the last message's body in the piece that is being read
        self._request: Request | None = None  # whose body is being read
        self._queue: deque[Request] = deque()
        self._held = 0
        self._paused = False
        self._deaf = False  # what still comes is thrown away
        self._gone = False
        self.active: asyncio.Task | None = None
        self.full: asyncio.Future | None = None
        self.deadline = inf

    # What the transport says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._porch.doors.add(self)
        self.deadline = self._loop.time() + IDLE_S
        if self._porch.closing:
            self.close_when_idle()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        continued, self._body_here = self._in_head, 0
        if continued:
            self._head_size += len(data)
        elif self._request is None and self.active is None and not self._queue:
            self.deadline = self._loop.time() + HEAD_S
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # we speak nothing else: answer it as what it also is, and end
            self._deaf = True
            if self._queue:
                self._queue[-1].keep_alive = False
        except httptools.HttpParserError:
            sentence = "This is not a well-formed HTTP/1.1 request. Send it with an ordinary HTTP client."
            self._refuse(bad_request(sentence, "malformed_request"))
        if self._in_head and not continued:  # it began in this piece, after the last head's end and that one's body
            self._head_size += len(data) - (data.rfind(b"\r\n\r\n") + 4) - self._body_here
        if self._in_head and self._head_size > LARGEST_HEAD:
            self._refuse(_head_too_large())
        self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        self._gone = self._deaf = True
        self._porch.doors.discard(self)
        self._queue.clear()
        self._request = None
        if self.active is not None:
            self.active.cancel()
        self._unblock()

    def pause_writing(self) -> None:
        self.full = self._loop.create_future()
        self.deadline = self._loop.time() + STALL_S

    def resume_writing(self) -> None:
        self.deadline = inf if self.active is not None else self._loop.time() + IDLE_S
        self._unblock()

    def _unblock(self) -> None:
        full, self.full = self.full, None
        if full is not None and not full.done():
            full.set_result(None)

    # What the parser says -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url, self._headers, self._head_size, self._in_head = b"", {}, 0, True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a chunked body is of no interest
            self._headers[name.lower()] = value
        self._head_size += len(name) + len(value)
        if self._head_size > LARGEST_HEAD and not self._deaf:
            self._refuse(_head_too_large())

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._in_head, self._body_here = False, 0
        path, _, query = self._url.partition(b"?")
        method = self._parser.get_method().decode("ascii")
        modern = self._parser.get_http_version() != "1.0"
        self._request = request = Request(method, path.decode("latin-1"), query, self._headers, modern)
        try:
            length = int(self._headers.get(b"content-length", 0))
            if length > LARGEST_BODY:
                raise _too_large()
            expect = self._headers.get(b"expect", b"").lower()
            if expect not in (b"", b"100-continue"):
                raise _unexpected()
            self._porch.house.admit(request)
        except ApiError as error:
            self._refuse(error)
            return
        if self.active is None and not self._queue:
            self.deadline = self._loop.time() + BODY_S + length / SLOWEST_BODY
            if expect and modern:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        request = self._request
        if self._deaf or request is None:
            return
        self._body_here += len(data)
        if not request.body:
            request.body = data
        else:
            if isinstance(request.body, bytes):
                request.body = bytearray(request.body)
            request.body += data
        if len(request.body) > LARGEST_BODY:
            self._refuse(_too_large())
        elif self.active is not None or self._queue:
            self._held += len(data)
            self._pause()

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        if self._deaf or request is None:
            return
        request.keep_alive = self._parser.should_keep_alive()
        self._queue.append(request)
        self._pause()

    def _refuse(self, error: ApiError) -> None:
        """Answer this one with the error when its turn comes, and listen to nothing after it."""
        if self._deaf:
            return
        self._deaf = True
        request = self._request or Request("GET", "", b"", {}, True)
        request.body, request.refusal, request.keep_alive = b"", error, False
        self._request = None
        self._queue.append(request)

    def _pause(self) -> None:
        if not self._paused and (self._held > HELD or len(self._queue) > MOST_WAITING):
            self._paused = True
            self._transport.pause_reading()

    # Answering ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        if self.active is not None or not self._queue or self._gone:
            return
        self.deadline = inf
        self.active = self._loop.create_task(self._serve(self._queue.popleft()))

    async def _serve(self, request: Request) -> None:
        reply = HttpReply(self, self._porch, request)
        try:
            if request.refusal is not None:
                await reply.error(request.refusal)
            else:
                await self._porch.house.answer(request, reply)
        except asyncio.CancelledError:
            if not self._gone:
                self.abort()
                raise
        except Exception as error:  # nobody below knew what to do: the caller sees a cut connection, the operator this
            say("door.crashed", kind=type(error).__name__, reason=str(error)[:300])
        finally:
            self.active = None
        self._served(request, reply)

    def _served(self, request: Request, reply: "HttpReply") -> None:
        if self._gone:
            return
        if not reply.ended:
            self.abort()
        elif not reply.keeps or (self._porch.closing and not self._queue):
            self._farewell(linger=request.refusal is not None)
        else:
            self.deadline = self._loop.time() + (IDLE_S if self._request is None else BODY_S)
            if not self._queue:
                self._held = 0
            if self._paused and len(self._queue) <= 1:
                self._paused, self._held = False, 0
                self._transport.resume_reading()
            self._advance()

    def _farewell(self, linger: bool) -> None:
        """End the connection; `linger`: not while the caller still sends, or it would lose our answer."""
        self._deaf = True
        if self._paused:
            self._transport.resume_reading()
        if linger and self._transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()
            self.deadline = self._loop.time() + LINGER_S
        else:
            self._transport.close()

    def write(self, data: bytes) -> None:
        if not self._gone:
            self._transport.write(data)

    def expire(self) -> None:
        """Its time is over."""
        if self.full is not None or self._deaf or self.active is not None:
            self.abort()
        elif self._in_head or self._request is not None:
            sentence = "The request came too slowly and was not waited for. Send it again."
            self._refuse(ApiError(408, sentence, "invalid_request_error", "request_timeout"))
            self._advance()
        else:
            self._transport.close()

    def close_when_idle(self) -> None:
        if self.active is None and not self._queue and self._request is None:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class HttpReply:
    """Implements call.Reply. `begin` for whoever has headers of his own."""

    __slots__ = ("_chunked", "_door", "_head", "_porch", "_request", "ended", "id", "keeps", "started")

    def __init__(self, door: Door, porch: Porch, request: Request):
        self._door = door
        self._porch = porch
        self._request = request
        self._head = b""
        self._chunked = False
        self.id = ""  # of the call
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
        self._head = b"HTTP/1.1 %d %b\r\n%b%b%b" % (status, reason, self._porch.date, lines, ending)

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
        await self.end(error.body())


def _too_large() -> ApiError:
    sentence = f"The request is larger than {LARGEST_BODY // 2**20} MiB. Send less at once."
    return ApiError(413, sentence, "invalid_request_error", "request_too_large")


def _unexpected() -> ApiError:
    sentence = "The gateway meets no such expectation. Leave out `Expect`."
    return ApiError(417, sentence, "invalid_request_error", "expectation_failed")


def _head_too_large() -> ApiError:
    sentence = f"The request's headers are larger than {LARGEST_HEAD // 2**10} KiB. Send fewer."
    return ApiError(431, sentence, "invalid_request_error", "headers_too_large")
