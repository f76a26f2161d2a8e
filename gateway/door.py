"""The door: HTTP/1.1 on asyncio and httptools. One `Door` is one caller's connection.

It reads requests, however they come (in pieces, pipelined, too slowly, too large), within bounds, and has them
answered one after the other. A request that is refused before its body was read is answered, and then nothing more is
believed of that connection: where one message ends can be a matter of opinion, and smuggling lives on that.
"""

import asyncio
import contextlib
from collections import deque
from math import inf
from typing import TYPE_CHECKING

import httptools

from gateway.errors import ApiError, bad_request
from gateway.log import say
from gateway.reply import HttpReply
from gateway.request import Request

if TYPE_CHECKING:
    from gateway.porch import Porch

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


class Door(asyncio.Protocol):
    def __init__(self, porch: "Porch"):
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

    def _served(self, request: Request, reply: HttpReply) -> None:
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


def _too_large() -> ApiError:
    sentence = f"The request is larger than {LARGEST_BODY // 2**20} MiB. Send less at once."
    return ApiError(413, sentence, "invalid_request_error", "request_too_large")


def _unexpected() -> ApiError:
    sentence = "The gateway meets no such expectation. Leave out `Expect`."
    return ApiError(417, sentence, "invalid_request_error", "expectation_failed")


def _head_too_large() -> ApiError:
    sentence = f"The request's headers are larger than {LARGEST_HEAD // 2**10} KiB. Send fewer."
    return ApiError(431, sentence, "invalid_request_error", "headers_too_large")
