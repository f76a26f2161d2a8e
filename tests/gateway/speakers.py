"""A stand-in of an engine that speaks every dialect itself, in the shapes that vLLM answers in."""

import json
from dataclasses import dataclass, field

from aiohttp import web

from gateway.dialects import multipart
from tests.gateway.apis import TEXT, USED, AnthropicApi

PROMPT, CACHED, COMPLETION, REASONING = USED


@dataclass
class Speaker(AnthropicApi):
    """`model` is what it must be called; `missing` are addresses that it doesn't have."""

    model: str = ""
    missing: set[str] = field(default_factory=set)
    forms: list[dict] = field(default_factory=list)

    def __init__(self, model: str):
        super().__init__()
        self.model, self.missing, self.forms = model, set(), []

    def _known(self, request: web.Request) -> bool:
        return True

    def _refuses(self, body: dict) -> str | None:
        return None if body["model"] == self.model else "wrong model"

    def _shell(self, body: dict) -> dict:
        return super()._shell(body) | {"model": self.model}

    def _form(self, path: str, raw: bytes) -> web.Response:
        boundary = raw[2 : raw.index(b"\r\n")].decode()
        content_type = f"multipart/form-data; boundary={boundary}"
        sound = multipart.file(raw, content_type, "file")[1].decode()
        self.forms.append(multipart.fields(raw, content_type) | {"file": sound})
        return web.json_response({"text": TEXT})

    def _whole(self, path: str, body: dict) -> web.Response:
        if path in self.missing:
            return web.json_response({"detail": "Not Found"}, status=404)
        if path == "/v1/audio/speech":
            return web.Response(body=b"ID3sound", content_type="audio/mpeg")
        plain = {
            "/v1/embeddings": {
                "object": "list",
                "model": self.model,
                "data": [{"object": "embedding", "index": n, "embedding": [0.25]} for n in range(2)],
                "usage": {"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": 0},
            },
            "/v1/rerank": {
                "id": "rerank-1",
                "model": self.model,
                "usage": {"total_tokens": 9},
                "results": [{"index": 0, "document": {"text": "Moravia"}, "relevance_score": 0.9}],
            },
            "/v1/images/generations": {"created": 1, "data": [{"b64_json": "aGVsbG8="}]},
        }
        if path in plain:
            return web.json_response(plain[path])
        return web.json_response(self._response("completed")) if path == "/v1/responses" else super()._whole(path, body)

    def _events(self, body: dict):
        if "input" not in body:
            yield from super()._events(body)
            return
        empty = self._response("in_progress") | {"output": [], "usage": None}
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        yield _event("response.created", 0, response=empty)
        yield _event("response.output_text.delta", 1, **where, delta=TEXT, logprobs=[])
        yield _event("response.completed", 2, response=self._response("completed"))

    def _response(self, status: str) -> dict:
        part = {"type": "output_text", "text": TEXT, "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        usage = {
            "input_tokens": PROMPT,
            "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens": COMPLETION,
            "output_tokens_details": {"reasoning_tokens": REASONING},
            "total_tokens": PROMPT + COMPLETION,
        }
        shape = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": self.model}
        choices = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**shape, **choices, "output": [item], "usage": usage}


def _event(kind: str, number: int, **fields: object) -> bytes:
    event = {"type": kind, "sequence_number": number, **fields}
    return f"event: {kind}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
