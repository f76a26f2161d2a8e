"""Several workers on one port: one dies, all are replaced, all end, and callers hardly notice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import usage
from gateway.registry import Registry
from tests.gateway.backend import Backend
from tests.gateway.traffic import ASK, Traffic
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until

BODY = {"model": "org/one", "messages": ASK}


@pytest.fixture
def place(tmp_path: Path):
    """Two workers, one served model."""
    settings = configure(tmp_path)
    file = tmp_path / "dayzero.toml"
    file.write_text(file.read_text() + "workers = 2\n")
    ledger = Ledger(settings.ledger_path)
    backend = Backend("/w").start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    gateway = Gateway(tmp_path)
    yield settings, gateway, backend
    if gateway.process.poll() is None:
        gateway.stop()
    backend.stop()
    ledger.close()


def workers(gateway: Gateway) -> set[int]:
    pid = gateway.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_graceful_restart_loses_no_request(place) -> None:
    """SIGHUP: all workers are others than before, and not one of the calls meanwhile failed; each has its row."""
    settings, gateway, _ = place
    before = workers(gateway)
    assert len(before) == 2
    traffic = Traffic(gateway, new_key(settings, "stable"), "org/one")
    for _ in range(2):
        until(lambda: traffic.answered > 10, 60, "some calls")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: len(workers(gateway)) == 2 and not workers(gateway) & before, 60, "two new workers")  # noqa: B023
        before, traffic.answered = workers(gateway), 0
    until(lambda: traffic.answered > 10, 60, "some more calls")
    traffic.stop()
    assert traffic.failed == []
    assert {row["status"] for row in usage.rows(settings.gateway_path, 10_000)} == {200}
    assert gateway.stop() == 0


def test_a_worker_that_dies_is_replaced(place) -> None:
    """kill -9 of one: soon there are two again that hold the routing; the rows of finished calls are there."""
    settings, gateway, _ = place
    client = gateway.client(new_key(settings, "stable"))
    for _ in range(4):
        assert client.chat.completions.create(**BODY)
    victim = min(workers(gateway))
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(workers(gateway) - {victim}) == 2, 60, "another worker")
    until(lambda: Registry(settings).serves(1), 60, "both to report the routing")
    assert gateway.client(new_key(settings, "stable")).chat.completions.create(**BODY)
    assert len(usage.rows(settings.gateway_path)) == 5
    assert gateway.said("worker.died")[0]["pid"] == victim


def test_sigterm_drains_every_worker(place) -> None:
    """A stream that runs ends as it should, then all of them are gone."""
    settings, gateway, backend = place
    backend.mode = "hold"
    stream = gateway.client(new_key(settings, "stable")).chat.completions.create(**BODY, stream=True)
    next(iter(stream))
    gateway.process.terminate()
    backend.release()
    assert "".join(c.choices[0].delta.content or "" for c in stream) == " is in Moravia."
    assert gateway.stop() == 0


def test_workers_do_not_outlive_their_parent(place) -> None:
    """kill -9 of the parent: nobody keeps the port."""
    _, gateway, _ = place
    left = workers(gateway)
    gateway.kill()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and _runs(pid) for pid in left), 60, "them to end")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_second_gateway_on_the_same_port_is_refused(place) -> None:
    """SO_REUSEPORT must not let two of them share callers unawares."""
    settings, gateway, _ = place
    port = gateway.url.rpartition(":")[2]
    folder = settings.site.state.parent
    file = folder / "second.toml"
    file.write_text((folder / "dayzero.toml").read_text().replace("port = 0", f"port = {port}"))
    command = [sys.executable, "-m", "gateway", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "can't listen" in done.stderr
