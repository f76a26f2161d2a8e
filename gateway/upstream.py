"""Raw connections to our own servers: pooled, one request at a time each, the answer's bytes as they come.

httptools parses the frame of HTTP around the bytes; what is in them is `wire`'s business. A slow reader makes the
connection pause, so that no stream is held in memory because its caller doesn't read.
"""

import asyncio
import functools
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

CONNECT_S = 2.0
KEEP_S = 4.0  # vLLM closes an idle connection after 5 s: let it go before that, or a request meets the closing door
END_S = 2.0
ENOUGH = 2**18
"""Bytes that wait for their reader before the connection pauses."""

LARGEST_HEAD = 2**16
LARGEST_ANSWER = 2**26


class NotConnected(Exception):
    """The request never arrived."""


class Lost(Exception):
    """The connection broke, or spoke no HTTP, before the answer was complete."""


class Silent(Exception):
    """Nothing came for too long."""


@dataclass(frozen=True, eq=False)
class Address:
    """`address_of` gives the same one for the same URL, so it is its own key."""

    host: str
    port: int
    tls: bool
    prefix: str

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@functools.lru_cache(maxsize=4096)
def address_of(url: str) -> Address:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Address(parts.hostname or "", parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))


class Connection(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future | None = None
        self._error: Exception | None = None
        self._paused = False
        self.closed = False
        self.since = loop.time()  # of the last byte while it is asked, of its release while it is idle
        self._forget()

    def _forget(self) -> None:
        self.asked = False
        self.complete = False
        self.at_end: Callable[[], None] | None = None
        self.spoken = False  # some of the answer came
        self._headed = False
        self._framed = False
        self._keeps = False
        self._head_size = 0
        self._parts: list[bytes] = []
        self._waiting = 0

    # What its user does ------------------------------------------------------------------------------------------

    async def ask(self, request: bytes) -> int:
        """Send a request; the answer's status."""
        self._forget()
        self.asked = True
        self.since = self._loop.time()
        self._transport.write(request)
        while not self._headed:
            await self._news()
        return self._parser.get_status_code()

    async def read(self) -> bytes:
        """What came since the last time; empty: the answer is complete."""
        while not self._parts:
            if self.complete:
                return b""
            await self._news()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._waiting = [], 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def whole(self) -> bytes:
        parts, size = [], 0
        while data := await self.read():
            parts.append(data)
            size += len(data)
            if size > LARGEST_ANSWER:
                raise Lost(f"an answer of more than {LARGEST_ANSWER} bytes")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def reusable(self) -> bool:
        return self.complete and self._keeps and not self.closed

    def close(self) -> None:
        """At once: the backend must hear that nobody listens any more."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.close()
        self._wake()

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.asked or self.complete:  # nobody asked
            self.close()
            return
        if self.at_end is None:
            self.since = self._loop.time()
        if not self._headed:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(Lost(f"no HTTP: {error}"))
            return
        if not self._headed and self._head_size > LARGEST_HEAD:
            self.fail(Lost("a head without an end"))
            return
        if self._waiting > ENOUGH and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self.asked and not self.complete:
            if self._error is not None:  # we ended it ourselves
                pass
            elif self._headed and not self._framed and error is None:  # its end is the end of the connection
                self.complete = True
            else:
                self._error = Lost("the connection broke")
        self._wake()

    # What the parser says -----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._framed and name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # 100 and 103 are not the answer yet
            self._headed = True

    def on_body(self, data: bytes) -> None:
        if self.at_end is None:
            self.spoken = True
            self._parts.append(data)
            self._waiting += len(data)

    def on_message_complete(self) -> None:
        if not self._headed:
            self._framed = False
            return
        self.complete = True
        self._keeps = self._framed and self._parser.should_keep_alive()  # a moment later the parser has forgotten
        if self.at_end is not None:
            self.at_end()


class Pool:
    """Connections by address; `sweep` once a second ends what is idle or silent for too long."""

    def __init__(self, first_byte_s: float = 600.0, between_bytes_s: float = 300.0) -> None:
        """How long a server may send nothing: from the request to its answer's beginning, and within the answer."""
        self.first_byte_s = first_byte_s
        self.between_bytes_s = between_bytes_s
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Address, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()

    async def take(self, address: Address) -> Connection:
        """A connection to ask once and give back. Raises NotConnected."""
        idle = self._idle[address]
        while idle:
            connection = idle.pop()
            if not connection.closed and self._loop.time() - connection.since < KEEP_S:
                self._busy.add(connection)
                return connection
            connection.close()
        return await self._connect(address)

    async def _connect(self, address: Address) -> Connection:
        tls = ssl.create_default_context() if address.tls else None
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop), address.host, address.port, ssl=tls
                )
        except TimeoutError:
            raise NotConnected(f"no connection within {CONNECT_S:g} s") from None
        except OSError as error:
            raise NotConnected("connection refused") from error
        self._busy.add(connection)
        return connection

    def give_back(self, address: Address, connection: Connection, only_the_end_is_missing: bool = False) -> None:
        if only_the_end_is_missing and not connection.complete and not connection.closed:
            # [DONE] has come, HTTP's own end comes in a moment: worth more than a new connection for each stream
            connection.at_end = lambda: self.give_back(address, connection)
            connection.since = self._loop.time() - self.between_bytes_s + END_S
            return
        self._busy.discard(connection)
        if connection.reusable:
            connection.since = self._loop.time()
            self._idle[address].append(connection)
        else:
            connection.close()

    def sweep(self) -> None:
        now = self._loop.time()
        for address, idle in list(self._idle.items()):
            for connection in idle:
                if now - connection.since > KEEP_S:
                    connection.close()
            left = [connection for connection in idle if not connection.closed]
            if left:
                self._idle[address] = left
            else:
                del self._idle[address]
        for connection in [one for one in self._busy if now - one.since > self._patience_s(one)]:
            connection.fail(Silent())

    def _patience_s(self, connection: Connection) -> float:
        return self.between_bytes_s if connection.spoken else self.first_byte_s

    def close(self) -> None:
        for connection in [*self._busy, *(one for idle in self._idle.values() for one in idle)]:
            connection.close()
        self._idle.clear()


