"""An OpenAI-compatible server whose one model, `trusted`, grades by rules (rules.py) and does nothing else."""

import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.judge.rules import opinion, preference

MODEL = "trusted"


def create_app(key: str) -> Starlette:
    """`key`: the bearer key asked for; empty: none."""

    def allowed(request: Request) -> bool:
        return not key or hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {key}")

    async def models(request: Request) -> Response:
        if not allowed(request):
            return _error(401, "That key is not known.", "invalid_api_key")
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "lab"}]})

    async def chat(request: Request) -> Response:
        if not allowed(request):
            return _error(401, "That key is not known.", "invalid_api_key")
        try:
            body = await request.json()
            messages = body["messages"]
            prompt = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        except (ValueError, KeyError, TypeError, StopIteration):
            return _error(400, "The body must be a chat with a user's message.", "invalid_request_error")
        text = reply_to(_flat(prompt))
        words = sum(len(_flat(message.get("content")).split()) for message in messages)
        said = len(text.split())
        usage = {"prompt_tokens": words, "completion_tokens": said, "total_tokens": words + said}
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.get("model") or MODEL}
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return StreamingResponse(_stream(head, text, usage if with_usage else None), media_type="text/event-stream")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def health(request: Request) -> Response:
        return JSONResponse({"ok": True})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


def reply_to(prompt: str) -> str:
    """A JSON verdict, or a sentence for people who chat with it."""
    try:
        material = json.loads(prompt)
        if "first" in material:
            better, reason = preference(material["first"], material["second"])
            return json.dumps({"verdict": better, "reason": reason})
        passes, reason = opinion(material["criterion"], material.get("reference", ""), material["answer"])
    except (ValueError, KeyError, TypeError):
        return "I am the lab's judge: I only grade answers by simple rules."
    return json.dumps({"verdict": "pass" if passes else "fail", "reason": reason})


async def _stream(head: dict[str, Any], text: str, usage: dict[str, int] | None) -> AsyncIterator[str]:
    def chunk(**rest: Any) -> str:
        return f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', **rest})}\n\n"

    yield chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    for piece in re.findall(r"\s*\S+", text):
        yield chunk(choices=[{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
    yield chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if usage:
        yield chunk(choices=[], usage=usage)
    yield "data: [DONE]\n\n"


def _flat(content: Any) -> str:
    """Content may be a text or a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def _error(status: int, sentence: str, kind: str) -> JSONResponse:
    return JSONResponse({"error": {"message": sentence, "type": kind}}, status_code=status)
