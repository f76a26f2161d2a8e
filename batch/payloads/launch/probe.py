"""Questions to a running engine over HTTP. Blocking: ask them in a thread. No proxy is ever used."""

import http.client
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

RUNNING = ("vllm:num_requests_running", "vllm:num_requests_waiting")
GENERATED = "vllm:generation_tokens_total"
MOVING = (GENERATED, "vllm:prompt_tokens_total", "vllm:iteration_tokens_total_count")
"""A long prompt is worked on for a while before its first token: any of these moving is life."""

_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{[^}]*\})? ([-+.\deE]+|NaN|[+-]?Inf)", re.M)


class Silent(Exception):
    """No answer; the text says why."""


class Refused(Exception):
    """An answer, but not one that helps; the text is the engine's."""


@dataclass(frozen=True)
class Sample:
    """One look: requests (running and waiting), tokens generated since its start, and a value that moves with life."""

    running: int = 0
    generated: int = 0
    moved: float = 0


class Question:
    """`ask()` in a thread of its own; a daemon: an engine that never answers can't keep us from ending."""

    def __init__(self, ask: Callable[[], object]):
        self.done, self.answer, self.error = False, None, None
        self._ask = ask
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:  # whatever it is, it is the answer
            self.error = error
        self.done = True


def first_answer(url: str, model: str, timeout_s: float) -> str:
    """The text of one real completion. Raises Silent or Refused. A model without a chat template completes plainly."""
    deadline = time.monotonic() + timeout_s
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    try:
        return _complete(url, "/v1/chat/completions", model, chat, timeout_s)
    except Refused:
        left = max(1.0, deadline - time.monotonic())
        return _complete(url, "/v1/completions", model, {"prompt": "Hi"}, left)


def _complete(url: str, path: str, model: str, prompt: dict, timeout_s: float) -> str:
    status, body = request(url, path, timeout_s, {"model": model, "max_tokens": 4, "temperature": 0, **prompt})
    if status != 200:
        raise Refused(f"HTTP {status}: {' '.join(body.split())[:300]}")
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = choice.get("message") or {}
        text = choice.get("text") or message.get("content") or message.get("reasoning_content") or ""
        tokens = (answer.get("usage") or {}).get("completion_tokens") or 0
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Refused(f"It answered, but not with a completion: {body[:200]}") from None
    if not text and tokens < 1:
        raise Refused("It answered without a single token.")
    return text


def listening(url: str) -> bool:
    """Does /health say 200? Only a reason to ask for a completion: it has said so of servers that couldn't."""
    try:
        return request(url, "/health", 2)[0] == 200
    except Silent:
        return False


def look(url: str, with_metrics: bool, timeout_s: float) -> Sample:
    """Health and counters. Raises Silent, or Refused when the engine calls itself ill."""
    status, body = request(url, "/health", timeout_s)
    if status != 200:
        raise Refused(f"its /health says {status}: {body[:100]}")
    if not with_metrics:
        return Sample()
    status, body = request(url, "/metrics", timeout_s)
    if status != 200:
        raise Refused(f"its /metrics says {status}")
    return sample(body)


def sample(text: str) -> Sample:
    """From Prometheus' text; an engine with several replicas has a line for each. Pure."""
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        if name in RUNNING or name in MOVING:
            sums[name] = sums.get(name, 0) + float(value)
    running = sum(sums.get(name, 0) for name in RUNNING)
    return Sample(int(running), int(sums.get(GENERATED, 0)), sum(sums.get(name, 0) for name in MOVING))


def version(url: str) -> str:
    """What /version says, or ''."""
    try:
        status, body = request(url, "/version", 2)
        return str(json.loads(body)["version"]) if status == 200 else ""
    except (Silent, ValueError, LookupError, TypeError):
        return ""


def request(url: str, path: str, timeout_s: float, body: dict | None = None) -> tuple[int, str]:
    """(status, text). Raises Silent for anything below HTTP."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Silent(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()
