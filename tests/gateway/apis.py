"""Stand-ins of the APIs of OpenAI and Anthropic, in the shapes that the services answer in, on a real port.

They do what a request asks for, so that a feature that was lost on the way is seen: a tool is called when tools are
offered, JSON when a schema is, a picture is described when there is one. What the real service refuses, they refuse.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import web

from tests.served import Served

TEXT = "Brno is in Moravia."
CALL = {"city": "Brno"}
SIGNATURE = "EqQBCkgIARAB+/=="
SEARCHED: list[dict] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Brno"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://b.example", "title": "B", "encrypted_content": "z"}],
    },
    {
        "type": "text",
        "text": TEXT,
        "citations": [
            {
                "type": "web_search_result_location",
                "url": "https://b.example",
                "title": "B",
                "encrypted_index": "abc",
                "cited_text": TEXT,
            }
        ],
    },
]
USED = (11, 4, 7, 2)  # prompt, of which cached, completion, of which reasoning


@dataclass
class Api(Served):
    """`key` is what a caller must bring; `left` counts callers that hung up; a stream about "wait" waits for `release`
    after its first words."""

    key: str = "sk-lab-secret"
    seen: list[dict] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    left: int = 0

    def stop(self) -> None:
        self.release()
        super().stop()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.paths.append(request.path)
        if not self._known(request):
            return web.json_response(self._error("authentication_error", "invalid x-api-key"), status=401)
        if not request.content_type.endswith("json"):
            self.seen.append({"form": raw})
            return self._form(request.path, raw)
        body = json.loads(raw)
        self.seen.append(body)
        if (why := self._refuses(body)) is not None:
            return web.json_response(self._error("invalid_request_error", why), status=400)
        if not body.get("stream"):
            return self._whole(request.path, body)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            for n, event in enumerate(self._events(body)):
                if n == 4 and "wait" in json.dumps(body["messages"]):
                    await self._released.wait()
                await response.write(event)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        return response

    def _form(self, path: str, raw: bytes) -> web.Response:
        return web.json_response({"text": TEXT, "usage": {"type": "duration", "seconds": 1}})


def tool_of(body: dict) -> str | None:
    if not body.get("tools") or any(m.get("role") == "tool" for m in body["messages"]):
        return None
    tool = body["tools"][0]
    return tool.get("name") or tool["function"]["name"]


class OpenAIApi(Api):
    def _known(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    def _error(self, kind: str, message: str) -> dict:
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def _refuses(self, body: dict) -> str | None:
        return "temperature must be at most 2" if (body.get("temperature") or 0) > 2 else None

    def _whole(self, path: str, body: dict) -> web.Response:
        if path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": n, "embedding": [0.25, -0.5]} for n in range(len(texts))]
            usage = {"prompt_tokens": 5, "total_tokens": 5}
            return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})
        if path.endswith("/images/generations"):
            return web.json_response({"created": 1, "data": [{"b64_json": "aGVsbG8="}] * (body.get("n") or 1)})
        if path.endswith("/audio/speech"):
            return web.Response(body=b"ID3sound", content_type="audio/mpeg")
        choices = [self._choice(n, body) for n in range(body.get("n") or 1)]
        shape = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
        fingerprint = f"fp_{body.get('seed')}"
        said = {"system_fingerprint": fingerprint, "choices": choices, "usage": self._usage()}
        return web.json_response({**shape, **said})

    def _choice(self, n: int, body: dict) -> dict:
        message: dict = {"role": "assistant", "content": text_for(body), "refusal": None}
        reason = "stop"
        if (tool := tool_of(body)) is not None:
            function = {"name": tool, "arguments": json.dumps(CALL)}
            call = {"id": "call_1", "type": "function", "function": function}
            message, reason = message | {"content": None, "tool_calls": [call]}, "tool_calls"
        logprobs = {"content": [_logprob("Brno")], "refusal": None} if body.get("logprobs") else None
        return {"index": n, "message": message, "logprobs": logprobs, "finish_reason": reason}

    def _events(self, body: dict) -> Iterator[bytes]:
        shape = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        for n in range(body.get("n") or 1):
            yield _data({**shape, "choices": [_delta(n, {"role": "assistant", "content": ""})]})
            if (tool := tool_of(body)) is not None:
                function = {"name": tool, "arguments": ""}
                call = {"index": 0, "id": "call_1", "type": "function", "function": function}
                yield _data({**shape, "choices": [_delta(n, {"tool_calls": [call]})]})
                for part in ('{"city": ', '"Brno"}'):
                    call = {"index": 0, "function": {"arguments": part}}
                    yield _data({**shape, "choices": [_delta(n, {"tool_calls": [call]})]})
            else:
                for word in text_for(body).split(" "):
                    word = word if word == text_for(body).split(" ")[0] else f" {word}"
                    logprobs = {"content": [_logprob(word)], "refusal": None} if body.get("logprobs") else None
                    yield _data({**shape, "choices": [_delta(n, {"content": word}) | {"logprobs": logprobs}]})
            reason = "stop" if tool is None else "tool_calls"
            yield _data({**shape, "choices": [_delta(n, {}) | {"finish_reason": reason}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _data({**shape, "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _usage(self) -> dict:
        prompt, cached, completion, reasoning = USED
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }


@dataclass
class AnthropicApi(Api):
    """It signs its thoughts and takes none that are not signed, keeps what is marked to be cached, and searches."""

    kept: set[str] = field(default_factory=set)
    heads: list[dict] = field(default_factory=list)

    def _known(self, request: web.Request) -> bool:
        self.heads.append({name.lower(): value for name, value in request.headers.items()})
        return request.headers.get("x-api-key") == self.key and "anthropic-version" in request.headers

    def _error(self, kind: str, message: str) -> dict:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def _refuses(self, body: dict) -> str | None:
        if (body.get("temperature") or 0) > 1:
            return "temperature: Input should be less than or equal to 1"
        thoughts = [b for m in body["messages"] for b in _blocks(m) if b.get("type") == "thinking"]
        if any(b.get("signature") != SIGNATURE for b in thoughts):
            return "messages: Invalid `signature` in `thinking` block"
        counted = self.paths[-1].endswith("/count_tokens")
        return None if body.get("max_tokens") or counted else "max_tokens: Field required"

    def _whole(self, path: str, body: dict) -> web.Response:
        if path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": 11})
        content, reason = self._content(body)
        answer = self._shell(body) | {"content": content, "stop_reason": reason, "usage": self._usage(body)}
        return web.json_response(answer)

    def _content(self, body: dict) -> tuple[list[dict], str]:
        blocks: list[dict] = []
        if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            blocks.append({"type": "thinking", "thinking": "Where may it be?", "signature": SIGNATURE})
        if any(str(tool.get("type")).startswith("web_search") for tool in body.get("tools") or ()):
            return [*blocks, *SEARCHED], "end_turn"
        if (tool := tool_of(body)) is not None:
            answered = any(b.get("type") == "tool_result" for m in body["messages"] for b in _blocks(m))
            if not answered:
                said = CALL if tool == "weather" else {"city": "Brno"}
                return [*blocks, {"type": "tool_use", "id": "toolu_1", "name": tool, "input": said}], "tool_use"
        return [*blocks, {"type": "text", "text": text_for(body)}], "end_turn"

    def _events(self, body: dict) -> Iterator[bytes]:
        content, reason = self._content(body)
        usage = self._usage(body) | {"output_tokens": 1}
        yield _event("message_start", message=self._shell(body) | {"content": [], "stop_reason": None, "usage": usage})
        for n, block in enumerate(content):
            kind = block["type"]
            empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
            yield _event("content_block_start", index=n, content_block=block | empty.get(kind, {}))
            yield _event("ping")
            if kind == "text":
                for word in block["text"].split(" "):
                    word = word if word == block["text"].split(" ")[0] else f" {word}"
                    yield _event("content_block_delta", index=n, delta={"type": "text_delta", "text": word})
            elif kind == "thinking":
                delta = {"type": "thinking_delta", "thinking": block["thinking"]}
                yield _event("content_block_delta", index=n, delta=delta)
                yield _event("content_block_delta", index=n, delta={"type": "signature_delta", "signature": SIGNATURE})
            elif kind == "tool_use":
                for part in ("", json.dumps(block["input"])):
                    delta = {"type": "input_json_delta", "partial_json": part}
                    yield _event("content_block_delta", index=n, delta=delta)
            yield _event("content_block_stop", index=n)
        delta = {"stop_reason": reason, "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage={"output_tokens": USED[2]})
        yield _event("message_stop")

    def _shell(self, body: dict) -> dict:
        shape = {"id": "msg_1", "type": "message", "role": "assistant", "model": f"{body['model']}-20250929"}
        return shape | {"stop_sequence": None}

    def _usage(self, body: dict) -> dict:
        prompt, cached, completion, _ = USED
        marked = {json.dumps(b) for b in _all_blocks(body) if b.get("cache_control")}
        new = marked - self.kept
        self.kept |= marked
        return {
            "input_tokens": prompt - cached,
            "cache_read_input_tokens": 0 if new else cached,
            "cache_creation_input_tokens": cached if new else 0,
            "output_tokens": completion,
        }


def text_for(body: dict) -> str:
    if (body.get("response_format") or {}).get("type") == "json_schema" or body.get("output_format"):
        return json.dumps(CALL)
    if (body.get("output_config") or {}).get("format"):
        return json.dumps(CALL)
    if any(part.get("type") in ("image", "image_url") for m in body["messages"] for part in _blocks(m)):
        return "A picture of Brno."
    for stop in [*_list(body.get("stop")), *_list(body.get("stop_sequences"))]:
        return TEXT.split(stop)[0]
    return TEXT


def _list(value: object) -> list:
    return value if isinstance(value, list) else [value] if value else []


def _all_blocks(body: dict) -> list[dict]:
    system = body.get("system")
    return [*(system if isinstance(system, list) else []), *(b for m in body["messages"] for b in _blocks(m))]


def _blocks(message: dict) -> list[dict]:
    return message["content"] if isinstance(message.get("content"), list) else []


def _delta(n: int, delta: dict) -> dict:
    return {"index": n, "delta": delta, "logprobs": None, "finish_reason": None}


def _logprob(token: str) -> dict:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}


def _data(chunk: dict) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
