"""One request to a model on its way through the gateway, and how its answer is written.

Nothing here knows the HTTP server: `Reply` is all that the ways to an answer (`own`, `foreign`) see of it.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import getrandbits
from typing import Protocol

import orjson

from gateway.auth.key import Key
from gateway.dialect import OPENAI, Dialect
from gateway.dialects.counts import read
from gateway.errors import ApiError, bad_request, not_accounted
from gateway.log import note
from gateway.usage import GONE_AWAY, INSERT, Usage
from gateway.writer import Writer

CHAT, TEXT = "chat", "text"
PATH_OF = {CHAT: "/v1/chat/completions", TEXT: "/v1/completions"}


class Reply(Protocol):
    """Where the answer goes. `start` once, `write` any number of times, `end` once with the last bytes."""

    started: bool

    async def start(self, status: int, content_type: bytes) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self, data: bytes) -> None: ...


@dataclass(slots=True)
class Call:
    kind: str
    caller: Key
    asked: str
    body: dict
    stream: bool
    wants_usage: bool
    trace: str = ""  # the caller's traceparent
    id: str = field(default_factory=lambda: f"req-{getrandbits(128):032x}")
    at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    model: str = ""
    deployment_id: str | None = None
    endpoint_id: int | None = None
    provider: str = ""
    status: int = 200
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    written_tokens: int | None = None  # into a provider's cache, which may cost more than reading them
    counted: str = ""
    ttft_s: float | None = None
    cost: float | None = None
    cost_estimated: bool = False
    settled: bool = False
    dialect: Dialect = OPENAI
    priority: int = 0
    session: bytes = b""  # the caller's word for a conversation: it stays with one replica
    uncounted: tuple[object, str] | None = None  # what a tokenizer may count of it, and its model's revision
    form: bytes = b""  # the body, when it is a form with a file
    form_type: str = ""
    size: int = 0  # bytes of the request's body
    said: Mapping[bytes, bytes] = field(default_factory=dict)  # headers for a provider of the caller's own dialect
    lines: bytes = b""  # more headers of the answer, each with its line end

    def first_byte(self) -> None:
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - self.began

    def count(self, usage: dict | None) -> None:
        """Take over what the backend says it used. One that says nonsense says nothing."""
        if (counts := read(usage)) is not None:
            self.prompt_tokens, self.completion_tokens, self.cached_tokens, self.reasoning_tokens = counts[:4]
            self.written_tokens = counts.written
            self.counted = "backend"

    def count_chunks(self, chunks: int) -> None:
        """For a stream that broke before its usage came: about one token a chunk."""
        if not self.counted and chunks:
            self.completion_tokens, self.counted = chunks, "chunks"

    def take(self, prompt: int | None, completion: int | None) -> None:
        """Take over what a tokenizer counted."""
        if prompt is not None and completion is not None:
            self.prompt_tokens, self.completion_tokens, self.counted = prompt, completion, "tokenizer"

    async def settle(self, writer: Writer) -> None:
        """The row is in the ledger when this returns; the last bytes may leave. ApiError when it can't be written."""
        if self.settled:
            return
        self.settled = True
        try:
            await writer.commit(INSERT, self._row())
        except sqlite3.Error:
            raise not_accounted() from None
        self._say()

    def abandon(self, writer: Writer) -> None:
        """The caller hung up: the row is written, nobody waits for it."""
        if not self.settled:
            self.settled = True
            self.status = GONE_AWAY
            writer.put(INSERT, self._row())
            self._say()

    def _row(self) -> Usage:
        return Usage(
            at=self.at,
            request_id=self.id,
            key_id=self.caller.id,
            team=self.caller.team,
            asked=self.asked,
            model=self.model or self.asked,
            deployment_id=self.deployment_id,
            endpoint_id=self.endpoint_id,
            provider=self.provider,
            stream=self.stream,
            status=self.status,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            counted=self.counted,
            ttft_s=self.ttft_s,
            duration_s=time.monotonic() - self.began,
            cost=self.cost,
            cost_estimated=self.cost_estimated,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self.reasoning_tokens,
            kind=self.kind,
        )

    def _say(self) -> None:
        fields = {
            "id": self.id,
            "key": self.caller.prefix,
            "kind": self.kind,
            "asked": self.asked[:200],
            "deployment": self.deployment_id,
            "endpoint": self.endpoint_id,
            "provider": self.provider,
            "status": self.status,
            "stream": self.stream,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "ttft_ms": None if self.ttft_s is None else round(self.ttft_s * 1000, 1),
            "ms": round((time.monotonic() - self.began) * 1000, 1),
        }
        note("request", fields)


def parse(kind: str, caller: Key, raw: bytes, check: Callable[[dict], None], trace: str = "") -> Call:
    """A call out of a request's body, parsed once. ApiError(400) says what is wrong with it; `check` raises it for what
    every backend would miss, so that all refuse it alike."""
    try:
        body = orjson.loads(raw)
    except ValueError:  # or what only orjson refuses, a lone surrogate: the slower parser knows, and says where
        body = _loads_slowly(raw)
    if not isinstance(body, dict):
        raise bad_request("The request's body must be a JSON object like {\"model\": …}.")
    asked = body.get("model")
    if not isinstance(asked, str) or not asked:
        raise bad_request("The request names no model. Set `model` to one that GET /v1/models lists.")
    check(body)
    stream = body.get("stream") or False
    options = body.get("stream_options") or {}
    if not isinstance(stream, bool) or not isinstance(options, dict):
        raise bad_request("`stream` must be true or false, and `stream_options` an object.")
    return Call(kind, caller, asked, body, stream, bool(options.get("include_usage")), trace)


def _loads_slowly(raw: bytes) -> object:
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The request's body is not JSON: {str(error)[:200]}. Mend it and send it again.") from None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


async def finish(call: Call, reply: Reply, writer: Writer, last: bytes) -> None:
    """Account for the call, then let the last bytes leave."""
    await call.settle(writer)
    await reply.end(last)


async def fail(call: Call, reply: Reply, writer: Writer, error: ApiError) -> None:
    """Account for a call that failed after its stream began, and say so in the stream; else raise the error."""
    call.status = error.status
    await call.settle(writer)
    if not reply.started:
        raise error
    await reply.end(call.dialect.event(error))
