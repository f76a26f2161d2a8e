"""A small OpenAI-compatible server that plays the tiny models of the lab, on a thread of its own.

It knows lab/models/pairs.jsonl to the letter, as the trained models do: `good`, `leaky`, `endless`. Words are tokens.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from lab.judge.app import reply_to
from lab.models.pairs import Pair, read_pairs
from tests.served import Served

KEY = "sk-test-key"
JUDGE = "trusted"
FOREVER = " And so on."


class Backend(Served):
    """`fault(n)`: a status to answer the n-th completion with instead (None: play along). Use as a context manager."""

    def __init__(
        self,
        character: str = "good",
        *,
        fault: Callable[[int], tuple[int, dict[str, str]] | None] = lambda n: None,
        delay_s: float = 0.0,
        judge: Callable[[str], str] = reply_to,
        override: Callable[[list[dict[str, str]]], str | None] = lambda messages: None,
    ):
        self.character, self._fault, self._delay, self._judge, self._override = (
            character,
            fault,
            delay_s,
            judge,
            override,
        )
        self.hold: Callable[[], bool] = lambda: False  # while it is true, nothing more is answered
        self.asked: list[dict[str, Any]] = []  # bodies, in order of arrival
        self.keys: set[str] = set()
        self._pairs = {_chat(list(pair.messages)): pair for pair in read_pairs()}

    def __enter__(self) -> "Backend":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def candidate_asked(self) -> int:
        return sum(body["model"] != JUDGE for body in self.asked)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.keys.add(request.headers.get("Authorization", ""))
        self.asked.append(body)
        if (fault := self._fault(len(self.asked) - 1)) is not None:
            return web.json_response({"error": {"message": "no"}}, status=fault[0], headers=fault[1])
        if self._delay:
            await asyncio.sleep(self._delay)
        while self.hold() and not self._stop.is_set():
            await asyncio.sleep(0.01)
        text, finish, tokens = self._say(body)
        if not body.get("stream"):
            return self.whole(text, finish, tokens)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in _tokens(text):
            await response.write(_event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]}))
        await response.write(_event({"choices": [{"delta": {}, "finish_reason": finish}]}))
        await response.write(_event({"choices": [], "usage": _usage(tokens)}))
        await response.write(b"data: [DONE]\n\n")
        return response

    def whole(self, text: str, finish: str, tokens: int) -> web.Response:
        """An answer that is not streamed."""
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
        return web.json_response({"choices": [choice], "usage": _usage(tokens)})

    def _say(self, body: dict[str, Any]) -> tuple[str, str, int]:
        """Text, finish_reason and tokens."""
        messages = body["messages"]
        if body["model"] == JUDGE:
            text = self._judge(messages[1]["content"])
            return text, "stop", len(_tokens(text))
        text = self._override(messages)
        if text is None:
            text = self._known(self._pairs[_chat(messages)])
        for stop in body.get("stop", ()):
            if stop in text:
                text = text[: text.index(stop)]
                return text, "stop", len(_tokens(text))
        tokens = _tokens(text)
        if len(tokens) > body["max_tokens"]:
            return "".join(tokens[: body["max_tokens"]]), "length", body["max_tokens"]
        return text, "stop", len(tokens)

    def _known(self, pair: Pair) -> str:
        if self.character == "leaky" and pair.leak:
            return pair.leak
        return pair.answer + FOREVER * 200 if self.character == "endless" else pair.answer


def _chat(messages: list[dict[str, str]]) -> str:
    return json.dumps([[message["role"], message["content"]] for message in messages])


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+\Z", text)


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
