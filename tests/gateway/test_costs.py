"""What a request may cost, in things that can be counted: writes to sockets, transactions, questions to databases.

The house is whole (keys, limits, routing, ledger); only the sockets are lists.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.front import Front
from gateway.gate import Gate
from gateway.porch import Porch
from gateway.upstream import Connection, address_of
from tests.gateway.world import Ledger, configure, new_key

SERVER = "http://127.0.0.1:9"
TOGETHER = 100
ANSWER = json.dumps({"model": "/w", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


class Wire(asyncio.Transport):
    """Keeps what is written to it, one entry a write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def abort(self) -> None:
        pass

    close = abort


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple]:
    settings = configure(tmp_path)
    ledger = Ledger(settings.ledger_path)
    ledger.deploy("one", "org/one")
    ledger.serve("one", SERVER, "/w")
    yield settings, new_key(settings, "stable")
    ledger.close()


def test_a_hundred_requests_cost_two_hundred_writes_and_one_transaction(place: tuple) -> None:
    """One write to the server and one to the caller each; all their rows in one transaction, none asked for by itself;
    keys and routing come out of memory."""
    settings, key = place

    async def story() -> None:
        gate = Gate(settings, {})
        porch = Porch(Front(gate))
        try:
            await asyncio.wait_for(_story(gate, porch, key), 30)
        finally:
            porch.close()
            await gate.close()

    asyncio.run(story())


async def _story(gate: Gate, porch: Porch, key: str) -> None:
    loop, servers, callers = asyncio.get_running_loop(), [], []
    for _ in range(TOGETHER):
        server = Connection(loop)
        server.connection_made(Wire())
        server.asked = server.complete = server._keeps = True
        gate.pool.give_back(address_of(SERVER), server)
        servers.append(server)
    body = json.dumps({"model": "org/one", "messages": [{"role": "user", "content": "Where is Brno?"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer %b\r\n" % key.encode()
    said: list[str] = []
    for connection in (gate.writer._quick, gate.keys._connection, gate.live._connection):
        connection.set_trace_callback(said.append)
    for _ in range(TOGETHER):
        door = porch.door()
        door.connection_made(Wire())
        door.data_received(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        callers.append(door)
    while not all(server._transport.written for server in servers):
        await asyncio.sleep(0)
    for server in servers:
        server.data_received(WHOLE)
    while not all(door._transport.written for door in callers):
        await asyncio.sleep(0)
    for connection in (gate.writer._quick, gate.keys._connection, gate.live._connection):
        connection.set_trace_callback(None)
    assert [len(server._transport.written) for server in servers] == [1] * TOGETHER
    assert [len(door._transport.written) for door in callers] == [1] * TOGETHER
    assert all(door._transport.written[0].startswith(b"HTTP/1.1 200 OK\r\n") for door in callers)
    assert sum("INSERT INTO usage" in line for line in said) == TOGETHER
    assert sum(line.startswith("COMMIT") for line in said) <= 3  # a worker's own report may come between
    assert sum(line.startswith("SELECT") for line in said) <= 20  # looks ten times a second, not for each request
    for door in callers:
        door.connection_lost(None)
