"""The gateway's own HTTP, spoken by hand: what is hostile, slow or odd gets a clear answer and harms nobody else."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

ASK = {"messages": [{"role": "user", "content": "Where is Brno?"}]}


class Caller:
    """A socket, and what came back on it."""

    def __init__(self, world: World, key: str = ""):
        port = int(world.gateway.url.rpartition(":")[2])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.key = key or new_key(world.settings, "stable")
        self.unread = b""

    def request(self, body: dict | bytes, *lines: str, path: str = "/v1/chat/completions") -> bytes:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
            lines = (*lines, f"Content-Length: {len(raw)}")
        head = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.key}", *lines]
        return "\r\n".join([*head, "", ""]).encode("latin-1") + raw

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def head(self) -> tuple[int, dict[str, str]]:
        """The next answer's status and headers."""
        while b"\r\n\r\n" not in self.unread:
            self._more()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        body = b""
        if "content-length" in headers:
            length = int(headers["content-length"])
            while len(self.unread) < length:
                self._more()
            body, self.unread = self.unread[:length], self.unread[length:]
        elif headers.get("transfer-encoding") == "chunked":
            while not (end := re.search(rb"(\A|\r\n)0\r\n\r\n", self.unread)):
                self._more()
            raw, self.unread = self.unread[: end.end()], self.unread[end.end() :]
            while (size := int(raw.partition(b"\r\n")[0], 16)) > 0:
                begin = raw.index(b"\r\n") + 2
                body, raw = body + raw[begin : begin + size], raw[begin + size + 2 :]
        else:
            body, self.unread = self.unread + self.rest(), b""
        return status, headers, body

    def rest(self) -> bytes:
        """Everything until the other side ends the connection."""
        found = b""
        while piece := self.socket.recv(65536):
            found += piece
        return found

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, f"the connection ended; there was {self.unread!r}"
        self.unread += piece

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def meet(world: World) -> Iterator[Callable[..., Caller]]:
    callers = []

    def make(key: str = "") -> Caller:
        callers.append(Caller(world, key))
        return callers[-1]

    yield make
    for caller in callers:
        caller.close()


Meet = Callable[..., Caller]


def code(body: bytes) -> str:
    return json.loads(body)["error"]["code"]


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: 4", "Content-Length: 4"),
        ("Content-Length: +4",),
        ("Content-Length: 4, 5",),
        ("Content-Length : 4",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: gzip",),
        ("Content-Length: 99999999999999999999",),
        ("Content-Length: 4", "X: a\x00b"),
        ("Content-Length: 4", "X: a\rb: c"),
        ("Content-Length: 4", " folded: yes"),
    ],
)
def test_a_message_whose_end_is_unclear_is_refused(world: World, meet: Meet, lines: tuple[str, ...]) -> None:
    """400, the connection ends, and what was smuggled behind it is never answered nor sent to a backend."""
    backend = world.backend("/w")
    model = world.model(backend)
    caller = meet()
    smuggled = caller.request({"model": model, **ASK})
    caller.send(caller.request(b"0\r\n\r\n", *lines) + smuggled)
    status, headers, _ = caller.answer()
    assert status in (400, 413) and headers["connection"] == "close"
    assert caller.rest() == b"" and backend.seen == []


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_a_400(world: World, meet: Meet, raw: bytes) -> None:
    """TLS on the plain port, nonsense, a version from the future."""
    caller = meet()
    caller.send(raw)
    status, _, body = caller.answer()
    assert (status, code(body)) == (400, "malformed_request")


@pytest.mark.parametrize("lines", [("X: " + "a" * 70_000,), tuple(f"X-{n}: {'a' * 100}" for n in range(700))])
def test_headers_are_bounded(world: World, meet: Meet, lines: tuple[str, ...]) -> None:
    """One header too large, or too many of them: 431."""
    caller = meet()
    caller.send(caller.request(ASK, *lines))
    status, _, body = caller.answer()
    assert (status, code(body)) == (431, "headers_too_large")


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_head_without_an_end_is_bounded(world: World, meet: Meet, pieces: int) -> None:
    """A header that never ends is refused when it is too long, not when memory is spent."""
    caller = meet()
    raw = b"GET / HTTP/1.1\r\nX: " + b"a" * 160_000
    caller.send(*[raw[n : n + len(raw) // pieces] for n in range(0, len(raw), len(raw) // pieces)])
    assert caller.head()[0] == 431


def test_a_chunked_body_is_bounded(world: World, meet: Meet) -> None:
    """No announced length: 413 as soon as it is too much."""
    caller = meet()
    caller.send(caller.request(b"", "Transfer-Encoding: chunked"))
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    caller.send(*[chunk] * 33)
    status, _, body = caller.answer()
    assert (status, code(body)) == (413, "request_too_large")


def test_pieces_and_chunks_make_the_same_request(world: World, meet: Meet) -> None:
    """One byte at a time, and in chunks with a trailer: the backend sees what was meant."""
    backend = world.backend("/w")
    model = world.model(backend)
    caller = meet()
    caller.send(*[bytes([b]) for b in caller.request({"model": model, **ASK})])
    assert caller.answer()[0] == 200
    raw = json.dumps({"model": model, **ASK}).encode()
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (raw[:9], raw[9:])) + b"0\r\nAuthorization: no\r\n\r\n"
    caller.send(caller.request(chunked, "Transfer-Encoding: chunked"))
    assert caller.answer()[0] == 200
    assert backend.seen == [{"model": "/w", **ASK}] * 2


def test_pipelined_requests_are_answered_in_their_order(world: World, meet: Meet) -> None:
    """Twenty at once, whole and streamed and unknown addresses mixed, on one connection."""
    model = world.model(world.backend("/w"))
    caller = meet()
    asked = [{"model": model, **ASK, "stream": n % 2 == 1} for n in range(20)]
    pieces = [caller.request(body, path="/v2/nothing" if n % 5 == 4 else "/v1/chat/completions")
              for n, body in enumerate(asked)]  # fmt: skip
    caller.send(b"".join(pieces))
    for n in range(20):
        status, headers, body = caller.answer()
        if n % 5 == 4:
            assert status == 405
        else:
            assert status == 200 and headers["content-type"].startswith(
                "text/event-stream" if n % 2 else "application/json"
            )
            assert b"Brno" in body and (not n % 2 or body.endswith(b"data: [DONE]\n\n"))


def test_expect_100_continue(world: World, meet: Meet) -> None:
    """Who may send is told so; who may not gets the answer instead; another expectation is 417."""
    model = world.model(world.backend("/w"))
    caller = meet()
    whole = caller.request({"model": model, **ASK}, "Expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    caller.send(head + b"\r\n\r\n")
    assert caller.head()[0] == 100
    caller.send(body)
    assert caller.answer()[0] == 200
    stranger = meet("dz-00000000-wrong")
    stranger.send(stranger.request(b"", "Expect: 100-continue", "Content-Length: 1000"))
    assert stranger.answer()[0] == 401
    odd = meet()
    odd.send(odd.request(ASK, "Expect: a-miracle"))
    assert odd.answer()[0] == 417


def test_http_1_0_gets_no_chunks(world: World, meet: Meet) -> None:
    """A stream for an old client ends with its connection; a whole answer has its length."""
    model = world.model(world.backend("/w"))
    for stream in (False, True):
        caller = meet()
        caller.send(caller.request({"model": model, **ASK, "stream": stream}).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        status, headers, body = caller.answer()
        assert status == 200 and headers["connection"] == "close" and "transfer-encoding" not in headers
        assert body.endswith(b"data: [DONE]\n\n") if stream else json.loads(body)["model"] == model


def test_an_upgrade_is_declined_by_an_ordinary_answer(world: World, meet: Meet) -> None:
    """curl --http2 offers h2c with its request: it is answered in HTTP/1.1."""
    caller = meet()
    caller.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert caller.answer()[0] == 200


def test_a_wrong_key_is_refused_before_the_body(world: World, meet: Meet) -> None:
    """Nobody without a key makes the gateway hold 30 MB."""
    caller = meet("dz-00000000-wrong")
    caller.send(caller.request(b"", f"Content-Length: {30 * 2**20}"))
    assert caller.answer()[0] == 401


def test_a_caller_who_reads_slowly_makes_the_backend_wait(world: World, meet: Meet) -> None:
    """64 MB for somebody who doesn't read: the gateway holds a small part of it, and the rest comes when he does."""
    backend = world.backend("/w", words=["x" * 2**20] * 64)
    model = world.model(backend)
    caller = meet()
    before = memory(world)
    caller.send(caller.request({"model": model, **ASK, "stream": True}))
    assert caller.head()[0] == 200
    until(lambda: backend.seen, 5, "the backend to be asked")
    stop = threading.Event()
    peak = before
    for _ in range(20):
        peak = max(peak, memory(world))
        stop.wait(0.05)
    assert peak - before < 24 * 2**20
    got = len(caller.unread)
    while got < 64 * 2**20:
        got += len(caller.socket.recv(2**20))


def memory(world: World) -> int:
    with open(f"/proc/{world.gateway.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024


def test_callers_who_vanish_do_no_harm(world: World, meet: Meet) -> None:
    """A hundred callers who connect, send half a request and vanish: the next one is served as if nothing was."""
    model = world.model(world.backend("/w"))
    key = new_key(world.settings, "stable")
    for n in range(100):
        caller = meet(key)
        caller.send(caller.request({"model": model, **ASK})[: 30 + 3 * n])
        caller.close()
        caller = meet(key)
    caller.send(caller.request({"model": model, **ASK}))
    assert caller.answer()[0] == 200
