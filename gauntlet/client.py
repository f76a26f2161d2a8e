"""One OpenAI-compatible endpoint: chat completions, streamed or not, and what a failure means.

EndpointUnavailable is an infrastructure fault, worth another try; RequestRejected is not. Neither says anything about
the model, so neither ever becomes a wrong answer.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import aiohttp

from gauntlet.answers import Answer, sound
from gauntlet.cases import Case
from lifecycle.errors import Permanent, Transient

JSON = Mapping[str, Any]
REJECTED = {400, 401, 403, 405, 411, 413, 415, 422}  # the same request would get the same answer


class EndpointUnavailable(Transient):
    """No connection, 5xx, 429, a torn stream, or something that is no completion."""


class RequestRejected(Permanent):
    """The endpoint understood and said no: a wrong key, a request it can't take."""


def api_root(base_url: str) -> str:
    """`http://host:port` and `http://host:port/v1` mean the same."""
    base = base_url.rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"


class Client:
    """Use as an async context manager. `timeout_s` bounds one request, and each silence within a stream."""

    def __init__(self, base_url: str, key: str, timeout_s: float = 600):
        self.root = api_root(base_url)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(10, timeout_s))

    async def __aenter__(self) -> "Client":
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**20
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, model: str, case: Case, *, stream: bool = False, asked: str = "") -> Answer:
        """One completion of a case; `asked` labels the answer. EndpointUnavailable or RequestRejected."""
        answer = await self.complete(request_of(model, case), stream=stream)
        return replace(answer, asked=asked) if asked else answer

    async def complete(self, body: JSON, *, stream: bool = False) -> Answer:
        if stream:
            body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        started = time.perf_counter()
        try:
            async with self._session.post(f"{self.root}/chat/completions", json=body) as response:
                if response.status != 200:
                    raise _refusal(response, await response.text())
                return await (_streamed(response, started) if stream else _plain(response, started))
        except TimeoutError:
            raise EndpointUnavailable(f"{self.root} gave no answer in {self._timeout.total:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointUnavailable(f"{self.root} can't be reached: {_words(error)}.") from None
        except ValueError as error:
            raise EndpointUnavailable(f"{self.root} sent something unreadable: {error}.") from None


def request_of(model: str, case: Case) -> dict[str, Any]:
    """The body of a chat completion."""
    body: dict[str, Any] = {
        "model": model,
        "messages": list(case.messages),
        "max_tokens": case.max_tokens,
        "temperature": case.temperature,
    }
    if case.stop:
        body["stop"] = list(case.stop)
    if case.schema is not None:
        named = {"name": case.id.replace("-", "_"), "schema": case.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if case.tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in case.tools]
    if "logprobs" in case.checks:
        body["logprobs"] = True
    return body


async def _plain(response: aiohttp.ClientResponse, started: float) -> Answer:
    try:
        data = json.loads(await response.read())
        choice = data["choices"][0]
        message = choice["message"]
        usage = data.get("usage") or {}
        return Answer(
            text=sound(message.get("content") or ""),
            finish_reason=choice.get("finish_reason") or "",
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
            total_s=time.perf_counter() - started,
            thinking=len(_thought(message)),
            tool_calls=_calls(message.get("tool_calls") or ()),
            logprobs=_logprobs(choice),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise EndpointUnavailable(f"{response.url} answered something that is no chat completion.") from None


async def _streamed(response: aiohttp.ClientResponse, started: float) -> Answer:
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    finish, usage, first, pieces, thinking, done = "", {}, None, 0, 0, False
    async for line in response.content:
        if not line.startswith(b"data:"):
            continue
        payload = line[5:].strip()
        if payload == b"[DONE]":
            done = True
            break
        try:
            chunk = json.loads(payload)
            if chunk.get("error"):
                raise EndpointUnavailable(f"{response.url} broke off: {sound(_message(chunk))}.")
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta") or {}
                piece, thought = delta.get("content") or "", _thought(delta)
                if (piece or thought) and first is None:
                    first = time.perf_counter() - started
                pieces += bool(piece or thought)
                thinking += len(thought)
                text.append(piece)
                for part in delta.get("tool_calls") or ():
                    _add_call(calls, part)
                finish = choice.get("finish_reason") or finish
        except (ValueError, AttributeError, TypeError, KeyError):
            raise EndpointUnavailable(f"{response.url} streamed something that is no completion.") from None
    if not (done or finish):
        raise EndpointUnavailable(f"{response.url} broke off in the middle of an answer.")
    return Answer(
        text=sound("".join(text)),
        finish_reason=finish,
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or pieces,
        first_token_s=first,
        total_s=time.perf_counter() - started,
        streamed=True,
        thinking=thinking,
        tool_calls=_calls([calls[index] for index in sorted(calls)]),
    )


def _calls(found: Iterable[JSON]) -> tuple[dict[str, str], ...]:
    """Name and arguments of each call; AttributeError, KeyError or TypeError when that is no list of calls."""
    return tuple(
        {"name": sound(str(call["function"]["name"])), "arguments": sound(str(call["function"].get("arguments") or ""))}
        for call in found
    )


def _add_call(calls: dict[int, dict[str, Any]], part: JSON) -> None:
    """A piece of a call in a stream: the name comes first, the arguments bit by bit."""
    call = calls.setdefault(int(part.get("index") or 0), {"function": {"name": "", "arguments": ""}})
    function = part.get("function") or {}
    for key in ("name", "arguments"):
        call["function"][key] += function.get(key) or ""


def _logprobs(choice: JSON) -> tuple[float, ...]:
    tokens = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(float(token["logprob"]) for token in tokens)


def _refusal(response: aiohttp.ClientResponse, text: str) -> Transient | Permanent:
    try:
        said = _message(json.loads(text))
    except ValueError:
        said = text
    said = sound(said)
    sentence = f"{response.url.origin()} answered {response.status}: {' '.join(said.split())[:200] or response.reason}"
    if response.status in REJECTED:
        return RequestRejected(sentence, "Check the key's file." if response.status in (401, 403) else "")
    return EndpointUnavailable(sentence, retry_after_s=_retry_after(response.headers.get("Retry-After", "")))


def _message(data: Any) -> str:
    """The sentence in an error body of any of the usual shapes."""
    error = data.get("error", data) if isinstance(data, dict) else data
    return str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)


def _retry_after(value: str) -> float | None:
    """Seconds, or an HTTP date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _thought(message: JSON) -> str:
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    return str(error) or type(error).__name__
