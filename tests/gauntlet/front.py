"""A server in front of Transformers': it does what our gateway and vLLM's parser do, or is broken, or slow.

`model` is what the engine calls its model. `tools`: a call that the engine leaves as text becomes one, as vLLM's hermes
parser makes it; without, it stays text. `wait_s`: before each answer to a stream.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from tests.gauntlet.backend import JUDGE, Backend

CALL = re.compile(r"<tool_call>\s*(\{.*\})\s*</tool_call>", re.DOTALL)


class Front(Backend):
    """Use as a context manager; `url` is its address."""

    def __init__(self, engine: str, model: str, *, tools: bool = True, wait_s: float = 0.0):
        super().__init__()
        self._engine, self._model, self._tools, self._wait_s = engine, model, tools, wait_s

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["model"] == JUDGE:
            return self.whole(*self._say(body))
        wanted = {key: value for key, value in body.items() if key != "tools"} | {"model": self._model}
        if body.get("stream"):
            await asyncio.sleep(self._wait_s)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._engine}/v1/chat/completions", json=wanted) as answer,
        ):
            if not body.get("stream"):
                said = await answer.json()
                for choice in said.get("choices", ()):
                    text = choice["message"]["content"]
                    for stop in body.get("stop", ()):  # the engine ends there, and keeps it
                        choice["message"]["content"] = text = text.partition(stop)[0]
                    if body.get("tools") and self._tools:
                        choice |= called(text)
                return web.json_response(said, status=answer.status)
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            return response


def called(text: str) -> Mapping[str, Any]:
    """What changes of a choice when its text is a tool call."""
    if not (found := CALL.search(text)):
        return {}
    call = json.loads(found.group(1))
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    calls = [{"id": "1", "type": "function", "function": function}]
    return {"finish_reason": "tool_calls", "message": {"role": "assistant", "content": "", "tool_calls": calls}}
