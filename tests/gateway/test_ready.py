"""Readiness means it: 503 with the reason while no call can be answered and accounted for, 200 as soon as one can."""

import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import worker
from lab.postgres.server import Server, missing, temporary
from lifecycle.settings import Shared
from tests.gateway.backend import Backend
from tests.gateway.stores import fresh_database
from tests.gateway.test_postgres_hosts import Host
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways are given to the test before they are ready."""
    monkeypatch.setattr(Gateway, "ready", lambda self: True)


def readiness(gateway: Gateway) -> tuple[int, str]:
    answer = httpx.get(f"{gateway.url}/readyz", timeout=10)
    return answer.status_code, answer.json().get("reason", "")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as server:
        yield server


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_host_that_never_reached_the_shared_database(tmp_path: Path, server: Server, at_once: None) -> None:
    """It knows no key, so it isn't ready, in any of its workers; once it has, it stays ready while that is away."""
    with fresh_database(server, "ready") as shared:
        host = Host(tmp_path / "one", Shared(shared.url), False)
        Ledger(host.settings.ledger_path).close()
        server.stop("immediate")
        try:
            gateway = host.run()
            until(lambda: not _refuses(gateway), 30, "it to listen")
            assert readiness(gateway)[0] == 503 and "never reached" in readiness(gateway)[1]
        finally:
            server.start()
        until(lambda: readiness(gateway)[0] == 200, 30, "it to be ready")
        server.stop("immediate")
        try:
            until(lambda: gateway.said("shared.away"), 30, "it to be noticed")
            assert readiness(gateway)[0] == 200
        finally:
            server.start()
        assert gateway.stop() == 0


def test_a_worker_that_drains(tmp_path: Path) -> None:
    """Nobody new is let in; what runs comes to its end, the last answer on its connection says that it is closed."""
    settings = configure(tmp_path)
    ledger, backend = Ledger(settings.ledger_path), Backend("/w").start()
    try:
        ledger.deploy("one", "org/one")
        ledger.serve("one", backend.url, "/w")
        backend.mode = "hold"
        gateway = Gateway(tmp_path)
        assert readiness(gateway) == (200, "")
        port = int(gateway.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            body = b'{"model":"org/one","stream":true,"messages":[{"role":"user","content":"Brno?"}]}'
            key = new_key(settings, "stable").encode()
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
                b"Content-Length: %d\r\n\r\n%s"
                b"GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n" % (key, len(body), body)
            )
            until(lambda: backend.seen, 10, "the stream to run")
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: _refuses(gateway), 10, "the door to be shut")
            backend.release()
            said = b""
            while part := connection.recv(2**16):
                said += part
        last = said.rpartition(b"HTTP/1.1 ")[2]  # the stream's own head, if that was written after the door was shut
        assert b"[DONE]" in said and b"\r\nconnection: close\r\n" in last.lower()
        assert gateway.stop() == 0
    finally:
        backend.stop()
        ledger.close()


def _refuses(gateway: Gateway) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=5).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize(("hard", "warned"), [(1024, True), (1048576, False), (resource.RLIM_INFINITY, False)])
def test_few_open_files_are_said(hard: int, warned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway takes what it may have; where that is little, its log says so and where to raise it."""
    taken, told = [], []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: taken.append(limits))
    monkeypatch.setattr(worker, "say", lambda event, **fields: told.append((event, fields)))
    worker.open_files()
    assert taken == [(hard, hard)] and bool(told) == warned
    assert not warned or (told[0][1]["requests"] == 512 and "LimitNOFILE" in told[0][1]["advice"])
