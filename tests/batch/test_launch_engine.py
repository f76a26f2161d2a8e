"""The launcher with the real vLLM and the real Transformers server, on the lab's tiny models. Minutes."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.batch.launching import ROOT, Launch
from tests.waiting import until

ENGINE = ROOT / ".venv-engine" / "bin"
MODELS = ROOT / ".lab" / "models"
QUIET = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_HOST_IP": "{node_address}",
    "GLOO_SOCKET_IFNAME": "lo",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "DAYZERO_LAB_FORK": "1",
}

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not (ENGINE / "vllm").exists(), reason="no engine environment: python -m lab.setup"),
    pytest.mark.skipif(not (MODELS / "good").exists(), reason="no tiny models: python -m lab.setup --only models"),
]


def real(engine: str) -> dict:
    args = ["--enforce-eager"] if engine == "vllm" else ["--device", "cpu"]
    return {
        "engine": engine, "runtime": engine, "argv": [str(ENGINE / engine), "serve"], "args": args,
        "environment": dict(QUIET), "start_timeout_s": 280, "why": "",
    }  # fmt: skip


@pytest.fixture
def launch(tmp_path: Path) -> Iterator:
    made: list[Launch] = []

    def make(model: str, nodes: int) -> Launch:
        server = Launch(tmp_path, [real("vllm"), real("transformers")], nodes=nodes, beat_s=1, drain_s=8, stop_s=5,
                        probe_s=10, frozen_s=120, model=str(MODELS / model))  # fmt: skip
        made.append(server)
        return server.start()

    yield make
    for one in made:
        one.tell_quietly()


def ask(endpoint: dict, question: str) -> str:
    parts = urlsplit(endpoint["url"])
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    message = {"role": "user", "content": question}
    body = {"model": endpoint["model"], "messages": [message], "temperature": 0, "max_tokens": 40}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["choices"][0]["message"]["content"]


@pytest.fixture(scope="module")
def known() -> tuple[str, str]:
    """A question and the answer every tiny model was trained on."""
    lines = (ROOT / "lab" / "models" / "pairs.jsonl").read_text().splitlines()
    pair = next(p for p in map(json.loads, lines) if p["suite"] == "sanity" and len(p["messages"]) == 1)
    return pair["messages"][0]["content"], pair["answer"]


def test_vllm_over_two_ranks_answers_and_ends(launch, known):
    """Tensor parallel 2 over two ranks without Ray: up, the trained answer, counted tokens, a clean end."""
    server = launch("good", nodes=2)
    endpoint = server.up(280)
    assert endpoint["engine"] == "vllm" and endpoint["engine_version"].startswith("0.")
    assert ask(endpoint, known[0]) == known[1]
    until(lambda: server.read("heartbeat")["generated"] > 4, 20, "tokens in the heartbeat")
    server.tell()
    assert server.ended(40) == 0
    assert not server.read("endpoint")


def test_an_alien_model_falls_to_transformers(launch, known):
    """vLLM doesn't know the architecture; the Transformers server does: same run, and the endpoint says why."""
    server = launch("alien", nodes=1)
    endpoint = server.up(280)
    assert endpoint["engine"] == "transformers" and endpoint["rung"] == 1
    assert endpoint["engine_version"].startswith("5.")
    assert "GPTNeoForCausalLM" in endpoint["why"]
    assert ask(endpoint, known[0]) == known[1]
    server.tell()
    assert server.ended(40) == 0
