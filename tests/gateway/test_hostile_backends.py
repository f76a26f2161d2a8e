"""Servers that lie, stammer or hang, and bodies that are too deep: clear errors, right rows, nothing left behind."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway import usage
from gateway.upstream import Pool, Silent, address_of
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
EVENT = b'data: {"id":"x","model":"/w","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def answer(usage_said: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    return whole(json.dumps({"id": "x", "model": "/w", "choices": [choice], "usage": usage_said}).encode())


class Raw:
    """A server that answers every request with these bytes, one piece a send, and then closes."""

    def __init__(self, *pieces: bytes):
        self._pieces = pieces
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    if connection.recv(65536).startswith(b"GET /health"):
                        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        continue
                    for piece in self._pieces:
                        connection.sendall(piece)
                except OSError:
                    pass

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@pytest.fixture
def serve(world: World) -> Iterator[Callable[..., str]]:
    """A model whose one server sends these pieces; its name."""
    servers: list[Raw] = []

    def begin(*pieces: bytes) -> str:
        servers.append(Raw(*pieces))
        n = next(world.numbers)
        world.ledger.deploy(f"d{n}", f"org/model-{n}")
        world.ledger.serve(f"d{n}", servers[-1].url, "/w")
        world.settle()
        return f"org/model-{n}"

    yield begin
    for server in servers:
        server.close()


def ask(world: World, model: str, stream: bool = False) -> httpx.Response:
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
    body = {"model": model, "messages": ASK, "stream": stream}
    return httpx.post(f"{world.gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=60)


@pytest.mark.parametrize(
    "said",
    [
        None, 7, "lots", [], {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 1.5},
        {"prompt_tokens": 2**60, "completion_tokens": 1}, {"prompt_tokens": True, "completion_tokens": 1},
    ],
)  # fmt: skip
def test_usage_that_can_not_be_is_not_booked(world: World, serve, said: object) -> None:
    """The caller gets his answer; the row holds no tokens that the server made up."""
    model = serve(answer(said))
    assert ask(world, model).status_code == 200
    (row,) = world.rows(model)
    assert row["status"] == 200 and row["counted"] != "backend"
    assert (row["prompt_tokens"] or 0) < 1000 and (row["completion_tokens"] or 0) < 1000


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\xff\xfe nonsense",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-length: 5\r\n\r\n{}",
        whole(b"[" * 9000),
        whole(b'{"a":' * 9000),
        whole(b"\xff\xfe"),
        whole(b"null"),
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000,
        b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(9),
)
def test_garbage_of_any_kind_is_a_clear_error(world: World, serve, raw: bytes) -> None:
    """502 or 503 with a sentence, one row with that status, and the gateway goes on."""
    model = serve(raw)
    found = ask(world, model)
    assert found.status_code in (502, 503) and found.json()["error"]["message"]
    (row,) = world.rows(model)
    assert row["status"] == found.status_code
    assert not world.gateway.said("request.crashed")


def test_a_stream_in_single_bytes_comes_out_whole(world: World, serve) -> None:
    """Each byte in a send of its own: the same events, the caller's name in them, and the tokens counted."""
    last = b'data: {"id":"x","model":"/w","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    raw = STREAM + EVENT * 2 + last + b"data: [DONE]\n\n"
    model = serve(*(raw[n : n + 1] for n in range(len(raw))))
    text = ask(world, model, stream=True).text
    assert text.count('"content":"a"') == 2 and text.endswith("data: [DONE]\n\n") and f'"model":"{model}"' in text
    (row,) = world.rows(model)
    assert (row["prompt_tokens"], row["completion_tokens"], row["counted"]) == (3, 2, "backend")


@pytest.mark.parametrize("end", [b"", b"data: {", b"data: nonsense\n\n", b"\x00\xff\n\n"])
def test_a_stream_without_its_end_is_a_clear_error_inside_it(world: World, serve, end: bytes) -> None:
    """What came is there, then one event with the error; the row says 502 and counts what was sent."""
    model = serve(STREAM, EVENT * 3, end)
    text = ask(world, model, stream=True).text
    assert text.count('"content":"a"') == 3 and '"error"' in text and "[DONE]" not in text
    (row,) = world.rows(model)
    assert row["status"] == 502 and row["completion_tokens"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"model": "x", "messages": ' + b"[" * 50_000])
def test_deep_json_is_a_400(world: World, body: bytes) -> None:
    """Not a crash, not a stack that overflows."""
    key = new_key(world.settings, "stable")
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    found = httpx.post(f"{world.gateway.url}/v1/chat/completions", content=body, headers=headers, timeout=60)
    assert found.status_code == 400 and found.json()["error"]["message"]


def test_nothing_is_left_after_many_requests(world: World, serve) -> None:
    """A thousand requests of every outcome: then as many descriptors as before, and no more memory."""
    good, bad = world.model(world.backend("/weights/x")), serve(b"nonsense")
    key = new_key(world.settings, "stable")
    pid = world.gateway.process.pid

    def round_of_requests(n: int) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
            url = f"{world.gateway.url}/v1/chat/completions"
            for i in range(n):
                model = (good, good, bad, "org/nobody")[i % 4]
                client.post(url, json={"model": model, "messages": ASK, "stream": i % 8 > 3})
            for _ in range(10):
                connection = socket.create_connection(("127.0.0.1", int(world.gateway.url.rpartition(":")[2])))
                connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Le")
                connection.close()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    def memory_kb() -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    round_of_requests(300)
    fds, memory = descriptors(), memory_kb()
    round_of_requests(700)
    until(lambda: descriptors() <= fds + 5, 60, "descriptors to be given back")
    assert memory_kb() < memory + 8 * 1024
    assert len(usage.rows(world.settings.gateway_path, 10_000)) >= 750


def test_a_server_that_falls_silent_is_given_up() -> None:
    """Before its first byte after one time, within its answer after another: the pool's sweep ends both."""

    async def story() -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/speak" in head:
                writer.write(STREAM + EVENT)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        pool = Pool(first_byte_s=100.0, between_bytes_s=10.0)
        quiet, spoken = await pool.take(address_of(url)), await pool.take(address_of(url))
        asked = asyncio.create_task(quiet.ask(b"GET /quiet HTTP/1.1\r\n\r\n"))
        assert await spoken.ask(b"GET /speak HTTP/1.1\r\n\r\n") == 200
        assert await spoken.read() == EVENT
        reading = asyncio.create_task(spoken.read())
        await asyncio.sleep(0)
        for connection in (quiet, spoken):
            connection.since -= 20  # so long ago
        pool.sweep()
        with pytest.raises(Silent):
            await reading
        assert not asked.done()
        quiet.since -= 100
        pool.sweep()
        with pytest.raises(Silent):
            await asked
        pool.close()
        server.close()
        await server.wait_closed()

    asyncio.run(asyncio.wait_for(story(), 60))
