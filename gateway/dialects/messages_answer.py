"""Anthropic's messages out of a chat: what is answered, whole and as a stream of events."""

import json
from typing import Any

from gateway.dialects import messages
from gateway.dialects.counts import as_anthropic
from gateway.wire import dumps

REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

Block = dict[str, Any]


class Messages:
    """Implements kind.Translation."""

    def request(self, body: Block) -> Block:
        return messages.request(body)

    def answer(self, asked: Block, chat: Block) -> Block:
        choice = (chat.get("choices") or [{}])[0]
        said = choice.get("message") or {}
        content: list[Block] = []
        if thought := thought_of(said):
            content.append({"type": "thinking", "thinking": thought, "signature": ""})
        if said.get("content"):
            content.append({"type": "text", "text": said["content"]})
        content += [_use(call) for call in said.get("tool_calls") or ()]
        return {
            "id": _id(chat.get("id")),
            "type": "message",
            "role": "assistant",
            "model": asked.get("model"),
            "content": content,
            **ending(choice, bool(said.get("tool_calls"))),
            "usage": as_anthropic(chat.get("usage")),
        }

    def stream(self, asked: Block, id: str) -> "Events":
        return Events(asked, id)


class Events:
    """Implements kind.Chunks. One content block is open at a time; `_index` is its number."""

    def __init__(self, asked: Block, id: str):
        self._asked = asked
        self._id = id
        self._begun = False
        self._index = -1
        self._open = ""  # the open block's type; for tools with the call's number
        self._usage: object = None
        self._ending: Block = {"stop_reason": "end_turn", "stop_sequence": None}
        self._used = False

    def chunk(self, chunk: Block) -> bytes:
        events = [] if self._begun else [self._begin()]
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if thought := thought_of(delta):
                events += self._say("thinking", {"type": "thinking", "thinking": "", "signature": ""},
                                    {"type": "thinking_delta", "thinking": thought})  # fmt: skip
            if delta.get("content"):
                events += self._say("text", {"type": "text", "text": ""},
                                    {"type": "text_delta", "text": delta["content"]})  # fmt: skip
            for call in delta.get("tool_calls") or ():
                events += self._tool(call)
            if choice.get("finish_reason"):
                self._ending = ending(choice, self._used)
        return b"".join(events)

    def end(self) -> bytes:
        events = [] if self._begun else [self._begin()]
        events += self._close()
        events.append(_event("message_delta", delta=self._ending, usage=as_anthropic(self._usage)))
        events.append(_event("message_stop"))
        return b"".join(events)

    def _begin(self) -> bytes:
        self._begun = True
        message = {
            "id": _id(self._id),
            "type": "message",
            "role": "assistant",
            "model": self._asked.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": as_anthropic(None),
        }
        return _event("message_start", message=message)

    def _tool(self, call: Block) -> list[bytes]:
        self._used = True
        function = call.get("function") or {}
        block = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        delta = {"type": "input_json_delta", "partial_json": function.get("arguments") or ""}
        return self._say(f"tool-{call.get('index', 0)}", block, delta)

    def _say(self, kind: str, block: Block, delta: Block) -> list[bytes]:
        events = []
        if self._open != kind:
            events += self._close()
            self._open, self._index = kind, self._index + 1
            events.append(_event("content_block_start", index=self._index, content_block=block))
        if delta.get("partial_json") != "":
            events.append(_event("content_block_delta", index=self._index, delta=delta))
        return events

    def _close(self) -> list[bytes]:
        if not self._open:
            return []
        self._open = ""
        return [_event("content_block_stop", index=self._index)]


def thought_of(holder: Block) -> str:
    """Engines have two names for the field."""
    return holder.get("reasoning_content") or holder.get("reasoning") or ""


def ending(choice: Block, used: bool) -> Block:
    """`stop_reason` and `stop_sequence`. Engines that know name the stop text beside finish_reason."""
    reason, text = choice.get("finish_reason"), choice.get("stop_reason")
    if used and reason in ("stop", "tool_calls"):
        return {"stop_reason": "tool_use", "stop_sequence": None}
    if reason == "stop" and isinstance(text, str) and text:
        return {"stop_reason": "stop_sequence", "stop_sequence": text}
    return {"stop_reason": REASONS.get(reason or "stop", "end_turn"), "stop_sequence": None}


def _use(call: Block) -> Block:
    function = call.get("function") or {}
    return {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": arguments(function.get("arguments")),
    }


def arguments(text: object) -> object:
    """A model's idea of JSON; what isn't any is handed on under a name, so that nothing is lost."""
    try:
        value = json.loads(text) if isinstance(text, str) and text.strip() else {}
    except ValueError:
        return {"arguments": text}
    return value if isinstance(value, dict) else {"arguments": value}


def _id(id: object) -> str:
    return f"msg_{str(id or '').removeprefix('chatcmpl-').removeprefix('req-')}"


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps({"type": kind, **fields}))
