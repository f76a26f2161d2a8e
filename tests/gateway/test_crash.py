"""What is left when a gateway dies, and how several work over one ledger."""

import json
import os
import signal
import threading
from pathlib import Path

import httpx
import openai
import pytest

from gateway import usage
from gateway.ledger.reports import totals
from gateway.registry import Registry
from tests.gateway.backend import Backend
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]


@pytest.fixture
def place(tmp_path: Path):
    """A folder with settings, a ledger with one served model, and its backend."""
    settings = configure(tmp_path)
    ledger = Ledger(settings.ledger_path)
    backend = Backend("/w").start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    yield tmp_path, settings, ledger, backend
    backend.stop()
    ledger.close()


def test_kill_9_right_after_an_answer_loses_no_row(place) -> None:
    """Killed the moment the last byte of an answer arrived, streamed or not: the row is there."""
    folder, settings, _, _ = place
    key = new_key(settings, "stable")
    for stream in (False, True):
        gateway = Gateway(folder)
        body = {"model": "org/one", "messages": ASK, "stream": stream}
        headers = {"authorization": f"Bearer {key}"}
        with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as answer:
            raw = answer.read()
        gateway.kill()
        assert raw.endswith(b"data: [DONE]\n\n") if stream else json.loads(raw)
        row = usage.rows(settings.gateway_path)[0]
        assert (row["stream"], row["completion_tokens"], row["status"]) == (stream, 5, 200)
    assert len(usage.rows(settings.gateway_path)) == 2


def test_two_gateways_over_one_ledger(place) -> None:
    """Both answer, report the generation, take over the next one; after a kill -9 the other one counts alone."""
    folder, settings, ledger, _ = place
    registry = Registry(settings)
    assert not registry.serves(1)
    gateways = [Gateway(folder), Gateway(folder)]
    key = new_key(settings, "stable")
    until(lambda: len(registry.generations()) == 2, 5, "two workers")
    for gateway in gateways:
        assert gateway.client(key).chat.completions.create(model="org/one", messages=ASK)
    assert totals(settings.gateway_path)[0] | {"cost": 0} == {
        "what": "org/one",
        "requests": 2,
        "failed": 0,
        "prompt_tokens": 14,
        "completion_tokens": 10,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost": 0,
    }
    ledger.move("one", "PREVIEW")
    until(lambda: registry.serves(ledger.generation), 2, "both to take it over")
    assert not registry.serves(ledger.generation + 1)
    for gateway in gateways:
        with pytest.raises(openai.NotFoundError):
            gateway.client(key).chat.completions.create(model="org/one", messages=ASK)
    gateways[0].kill()
    ledger.move("one", "STABLE")
    until(lambda: registry.serves(ledger.generation), 6, "the dead worker to be forgotten")
    assert gateways[1].stop() == 0
    until(lambda: not registry.serves(1), 5, "nobody to be left")


def test_it_starts_without_a_ledger(tmp_path: Path) -> None:
    """No ledger yet: it lives, is not ready and says why; ready as soon as the ledger is there."""
    settings = configure(tmp_path)
    ready = Gateway.ready
    try:
        Gateway.ready = lambda self: True
        gateway = Gateway(tmp_path)
    finally:
        Gateway.ready = ready
    until(lambda: _lives(gateway), 10, "it to live")
    answer = httpx.get(f"{gateway.url}/readyz")
    assert answer.status_code == 503 and "ledger" in answer.json()["reason"]
    ledger = Ledger(settings.ledger_path)
    until(gateway.ready, 2, "it to be ready")
    ledger.close()
    assert gateway.stop() == 0


def test_sigterm_lets_a_running_answer_end(place) -> None:
    """A stream that runs at SIGTERM comes to its end, and its row is written."""
    folder, settings, _, backend = place
    backend.mode = "hold"
    gateway = Gateway(folder)
    stream = gateway.client(new_key(settings, "stable")).chat.completions.create(
        model="org/one", messages=ASK, stream=True
    )
    next(iter(stream))
    gateway.process.terminate()
    backend.release()
    assert "".join(c.choices[0].delta.content or "" for c in stream) == " is in Moravia."
    assert gateway.stop() == 0
    assert [row["status"] for row in usage.rows(settings.gateway_path)] == [200]


def _lives(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_kill_9_of_all_workers_under_load_loses_no_completed_request(place) -> None:
    """Three workers, six callers, streamed and whole; everything is killed in the middle: each answer that arrived
    whole has its row, with its tokens."""
    folder, settings, _, _ = place
    file = folder / "dayzero.toml"
    file.write_text(file.read_text() + "workers = 3\n")
    gateway = Gateway(folder)
    key = new_key(settings, "stable")
    answered: list[str] = []
    callers = [threading.Thread(target=_hammer, args=(gateway.url, key, n % 2 == 0, answered)) for n in range(6)]
    try:
        for caller in callers:
            caller.start()
        until(lambda: len(answered) > 60, 120, "the load to run")
    finally:
        for line in gateway.said("worker.started"):
            os.kill(line["pid"], signal.SIGKILL)
        gateway.kill()
        for caller in callers:
            caller.join(60)
    rows = {row["request_id"]: row for row in usage.rows(settings.gateway_path, 100_000)}
    assert len(set(answered)) == len(answered) > 60
    assert set(answered) <= set(rows)
    assert {(rows[id]["status"], rows[id]["completion_tokens"]) for id in answered} == {(200, 5)}
    assert sum(row["requests"] for row in totals(settings.gateway_path)) == len(rows)


def _hammer(url: str, key: str, stream: bool, answered: list[str]) -> None:
    """Ask until nobody answers; note the id of each answer whose last byte came."""
    body = {"model": "org/one", "messages": ASK, "stream": stream}
    headers = {"authorization": f"Bearer {key}", "connection": "close"}  # so that every worker gets some
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        while _asked(client, body, answered):
            pass


def _asked(client: httpx.Client, body: dict, answered: list[str]) -> bool:
    try:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            raw = answer.read()
    except httpx.TransportError:
        return False
    if answer.status_code == 200 and (raw.endswith(b"data: [DONE]\n\n") if body["stream"] else json.loads(raw)):
        answered.append(answer.headers["x-request-id"])
    return True
