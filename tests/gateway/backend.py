"""A strict stand-in for an engine's HTTP server, in a thread, on a real port: it answers, dies, is slow, or refuses."""

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import web

from tests.served import Served

WORDS = ["Brno", " is", " in", " Moravia", "."]


@dataclass
class Backend(Served):
    """`mode`: ok, cut (dies after two chunks), drop (closes before the first byte), hold (waits for `release`),
    crash (500), busy (503), garbage. `seen` are the request bodies, `left` counts callers that hung up."""

    model: str
    engine: str = "vllm"
    mode: str = "ok"
    words: list[str] = field(default_factory=lambda: list(WORDS))
    seen: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    left: int = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/health", self._health)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.mode in ("ok", "hold") else 503)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.seen.append(body)
        self.headers.append(dict(request.headers))
        if body.get("model") != self.model:
            detail = {"message": f"Server is pinned to {self.model}", "code": 404}
            return web.json_response({"error": detail}, status=404)
        if self.mode == "crash":
            return web.json_response({"error": {"message": "EngineDeadError"}}, status=500)
        if self.mode == "busy":
            return web.Response(status=503, text="go away")
        if self.mode == "garbage":
            return web.Response(status=200, text="<html>")
        if self.mode == "drop":
            request.transport.abort()
            return web.Response()
        try:
            if self.mode == "hold" and not body.get("stream"):
                await self._released.wait()
            if body.get("stream"):
                return await self._stream(request, body)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        chat = request.path.endswith("chat/completions")
        text = "".join(self.words)
        choice = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return web.json_response({**self._shape(chat, ""), "choices": [choice], "usage": self._usage()})

    async def _stream(self, request: web.Request, body: dict) -> web.StreamResponse:
        chat = request.path.endswith("chat/completions")
        ours = self.engine != "transformers"
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)

        async def send(**fields: object) -> None:
            chunk = {**self._shape(chat, ".chunk"), **fields}
            await response.write(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode())

        for n, word in enumerate(self.words):
            if self.mode == "cut" and n == 2:
                request.transport.abort()
                return response
            if self.mode == "hold" and n == 2:
                await self._released.wait()
            delta = {"delta": {"content": word}} if chat else {"text": word}
            await send(choices=[{"index": 0, **delta, "finish_reason": None}])
        end = {"delta": {}} if chat else {"text": ""}
        last = [{"index": 0, **end, "finish_reason": "stop"}]
        if not ours:
            await send(choices=last, usage=self._usage())
        else:
            await send(choices=last)
            if (body.get("stream_options") or {}).get("include_usage"):
                await send(choices=[], usage=self._usage())
            await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _shape(self, chat: bool, kind: str) -> dict:
        name = self.model if self.engine != "transformers" else f"{self.model}@main"
        return {
            "id": "x-1",
            "object": f"chat.completion{kind}" if chat else "text_completion",
            "created": 1,
            "model": name,
        }

    def _usage(self) -> dict:
        n = len(self.words)
        return {"prompt_tokens": 7, "completion_tokens": n, "total_tokens": 7 + n}
