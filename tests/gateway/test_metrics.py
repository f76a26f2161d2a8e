"""What Prometheus reads: exact, whichever worker is asked, and for those only who may see it."""

import re

import httpx
import openai
import pytest

from gateway import keys
from gateway.auth.limits import Limits
from gateway.store import open_store
from tests.gateway.conftest import World
from tests.gateway.world import Gateway, new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
LINE = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\]|\\.)*"(,[a-z_]+="(?:[^"\\]|\\.)*")*\})? [0-9.e+-]+')


def read(url: str, key: str) -> dict[str, float]:
    answer = httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("# ")]
    assert lines and all(LINE.fullmatch(line) for line in lines)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_counters_are_the_ledger_in_every_worker(world: World) -> None:
    """Requests, tokens and times of what was answered; a gateway that was started later says the same."""
    model = world.model(world.backend("/w"))
    client = world.client()
    for stream in (False, True, False):
        answer = client.chat.completions.create(model=model, messages=ASK, stream=stream)
        if stream:
            list(answer)
    key = new_key(world.settings, "candidate")
    labels = f'{{model="{model}",provider="own",status="200"}}'
    later = Gateway(world.folder, {"LAB_KEY": "sk-lab-secret"})
    try:
        for url in (world.gateway.url, later.url):
            found = read(url, key)
            assert found[f"dayzero_requests_total{labels}"] == 3
            assert found[f"dayzero_prompt_tokens_total{labels}"] == 21
            assert found[f"dayzero_completion_tokens_total{labels}"] == 15
            assert found[f"dayzero_cost_total{labels}"] > 0
            assert found[f"dayzero_duration_seconds_count{labels}"] == 3
            assert found[f'dayzero_ttft_seconds_bucket{labels[:-1]},le="+Inf"}}'] == 3
            edges = [value for name, value in found.items() if name.startswith("dayzero_duration_seconds_bucket{model=")
                     and model in name]  # fmt: skip
            assert edges == sorted(edges)
            assert found["dayzero_ready"] == 1
        assert any(f'model="{model}"' in name and "servers" in name and found[name] == 1 for name in found)
        until(lambda: read(later.url, key)["dayzero_workers"] == 2, 5, "both workers to be counted")
    finally:
        later.stop()
    client.chat.completions.create(model=model, messages=ASK)
    assert read(world.gateway.url, key)[f"dayzero_requests_total{labels}"] == 4


def test_running_requests_are_seen(world: World) -> None:
    """A stream that is held counts as one, and as none when it is over."""
    backend = world.backend("/w", mode="hold")
    model = world.model(backend)
    key = new_key(world.settings, "candidate")
    stream = world.client().chat.completions.create(model=model, messages=ASK, stream=True)
    next(iter(stream))
    until(lambda: read(world.gateway.url, key)["dayzero_requests_running"] == 1, 5, "it to be seen")
    backend.release()
    assert list(stream)
    until(lambda: read(world.gateway.url, key)["dayzero_requests_running"] == 0, 5, "it to be over")


def test_metrics_name_candidates_so_not_everybody_reads_them(world: World) -> None:
    """No key: 401; a key that does not see candidates: 403."""
    assert httpx.get(f"{world.gateway.url}/metrics").status_code == 401
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable', 'preview')}"}
    assert httpx.get(f"{world.gateway.url}/metrics", headers=headers).status_code == 403


def test_what_limits_refused_and_what_waits(world: World) -> None:
    """Counted for whichever worker is asked, after a restart too; every model has a line for its line."""
    model = world.model(world.backend("/w"))
    db = open_store(world.settings.gateway_path)
    limited = keys.issue(db, "limited", ["stable"], limits=Limits(requests_per_minute=1))
    db.close()
    key = new_key(world.settings, "candidate")
    name = 'dayzero_refused_total{whose="key",limit="requests_per_minute"}'
    before = read(world.gateway.url, key).get(name, 0)
    client = world.gateway.client(limited)
    client.chat.completions.create(model=model, messages=ASK)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model=model, messages=ASK)
    until(lambda: read(world.gateway.url, key).get(name, 0) == before + 2, 30, "the refusals to be counted")
    later = Gateway(world.folder, {"LAB_KEY": "sk-lab-secret"})
    try:
        found = read(later.url, key)
        assert found[name] == before + 2
        assert [value for line, value in found.items() if "requests_waiting" in line and f'"{model}"' in line] == [0]
    finally:
        later.stop()
