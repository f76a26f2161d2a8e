"""OpenAI's responses out of a chat: what is answered, whole and as a stream of events."""

import time
from typing import Any

from gateway.dialects import responses
from gateway.dialects.counts import as_responses
from gateway.dialects.messages_answer import thought_of
from gateway.wire import dumps

ECHOED = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}

Item = dict[str, Any]


class Responses:
    """Implements kind.Translation."""

    def request(self, body: Item) -> Item:
        return responses.request(body)

    def answer(self, asked: Item, chat: Item) -> Item:
        choice = (chat.get("choices") or [{}])[0]
        said = choice.get("message") or {}
        name = _name(chat.get("id"))
        output = []
        if thought := thought_of(said):
            output.append(reasoning_item(f"rs_{name}", thought))
        if said.get("content"):
            logprobs = (choice.get("logprobs") or {}).get("content") or []
            output.append(message_item(f"msg_{name}", said["content"], logprobs))
        for n, call in enumerate(said.get("tool_calls") or ()):
            output.append(call_item(f"fc_{name}_{n}", call))
        whole = shell(asked, name, int(chat.get("created") or time.time())) | ending(choice.get("finish_reason"))
        return whole | {"output": output, "usage": as_responses(chat.get("usage"))}

    def stream(self, asked: Item, id: str) -> "Events":
        return Events(asked, id)


class Events:
    """Implements kind.Chunks. One output item is open at a time; `_items` are those that are complete."""

    def __init__(self, asked: Item, id: str):
        self._name = _name(id)
        self._shell = shell(asked, self._name, int(time.time()))
        self._number = 0
        self._items: list[Item] = []
        self._open = ""
        self._id = ""
        self._text: list[str] = []
        self._logprobs: list[Item] = []
        self._call: Item = {}
        self._usage: object = None
        self._reason: str | None = None
        self._begun = False

    def chunk(self, chunk: Item) -> bytes:
        events = self._begin()
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if thought := thought_of(delta):
                events += self._think(thought)
            if delta.get("content"):
                events += self._say(delta["content"], (choice.get("logprobs") or {}).get("content") or [])
            for call in delta.get("tool_calls") or ():
                events += self._ask(call)
            self._reason = choice.get("finish_reason") or self._reason
        return b"".join(events)

    def end(self) -> bytes:
        events = [*self._begin(), *self._close()]
        end = ending(self._reason)
        last = self._shell | end | {"output": self._items, "usage": as_responses(self._usage)}
        events.append(self._event(f"response.{end['status']}", response=last))
        return b"".join(events)

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return [self._event(f"response.{name}", response=self._shell) for name in ("created", "in_progress")]

    def _think(self, text: str) -> list[bytes]:
        events = []
        if self._open != "reasoning":
            events += self._start("reasoning", reasoning_item(f"rs_{self._name}_{len(self._items)}", "", "in_progress"))
        self._text.append(text)
        events.append(self._event("response.reasoning_text.delta", **self._where(), content_index=0, delta=text))
        return events

    def _say(self, text: str, logprobs: list[Item]) -> list[bytes]:
        events = []
        if self._open != "message":
            item = message_item(f"msg_{self._name}_{len(self._items)}", "", [], "in_progress") | {"content": []}
            events += self._start("message", item)
            part = text_part("", [])
            events.append(self._event("response.content_part.added", **self._where(), content_index=0, part=part))
        self._text.append(text)
        self._logprobs += logprobs
        where = self._where()
        events.append(
            self._event("response.output_text.delta", **where, content_index=0, delta=text, logprobs=logprobs)
        )
        return events

    def _ask(self, call: Item) -> list[bytes]:
        events = []
        function = call.get("function") or {}
        if self._open != (kind := f"call-{call.get('index', 0)}"):
            item = call_item(f"fc_{self._name}_{len(self._items)}", call) | {"arguments": "", "status": "in_progress"}
            events += self._start(kind, item)
            self._call = item
        if arguments := function.get("arguments"):
            self._text.append(arguments)
            events.append(self._event("response.function_call_arguments.delta", **self._where(), delta=arguments))
        return events

    def _start(self, kind: str, item: Item) -> list[bytes]:
        events = self._close()
        self._open, self._id, self._text, self._logprobs = kind, item["id"], [], []
        events.append(self._event("response.output_item.added", output_index=len(self._items), item=item))
        return events

    def _close(self) -> list[bytes]:
        """Say what the open item came to."""
        if not self._open:
            return []
        text, where = "".join(self._text), self._where()
        if self._open == "message":
            part = text_part(text, self._logprobs)
            item = message_item(self._id, text, self._logprobs)
            events = [
                self._event(
                    "response.output_text.done", **where, content_index=0, text=text, logprobs=self._logprobs
                ),
                self._event("response.content_part.done", **where, content_index=0, part=part),
            ]
        elif self._open == "reasoning":
            item = reasoning_item(self._id, text)
            events = [self._event("response.reasoning_text.done", **where, content_index=0, text=text)]
        else:
            item = self._call | {"arguments": text or "{}", "status": "completed"}
            name = item["name"]
            events = [
                self._event("response.function_call_arguments.done", **where, name=name, arguments=item["arguments"])
            ]
        events.append(self._event("response.output_item.done", output_index=len(self._items), item=item))
        self._items.append(item)
        self._open = ""
        return events

    def _where(self) -> Item:
        return {"item_id": self._id, "output_index": len(self._items)}

    def _event(self, kind: str, **fields: object) -> bytes:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(event))


def shell(asked: Item, name: str, created: int) -> Item:
    """A response without its output, as it is in the beginning."""
    echoed = {key: default if asked.get(key) is None else asked[key] for key, default in ECHOED.items()}
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": asked.get("model"),
        "output": [],
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **echoed,
    }


def ending(reason: str | None) -> Item:
    if reason in CUT:
        return {"status": "incomplete", "incomplete_details": {"reason": CUT[reason]}}
    return {"status": "completed", "incomplete_details": None}


def message_item(id: str, text: str, logprobs: list[Item], status: str = "completed") -> Item:
    content = [text_part(text, logprobs)]
    return {"type": "message", "id": id, "role": "assistant", "status": status, "content": content}


def text_part(text: str, logprobs: list[Item]) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def reasoning_item(id: str, text: str, status: str = "completed") -> Item:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "id": id, "summary": [], "content": content, "status": status}


def call_item(id: str, call: Item) -> Item:
    function = call.get("function") or {}
    return {
        "type": "function_call",
        "id": id,
        "call_id": call.get("id") or id,
        "name": function.get("name"),
        "arguments": function.get("arguments") or "{}",
        "status": "completed",
    }


def _name(id: object) -> str:
    return str(id or "").removeprefix("chatcmpl-").removeprefix("req-")
