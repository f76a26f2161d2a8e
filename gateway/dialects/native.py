"""Wires for backends that speak the caller's dialect themselves: bytes pass through, as in `wire`."""

import json
import re
from typing import Any

from gateway.call import Call
from gateway.dialects import multipart
from gateway.wire import LONGEST_EVENT, Garbage, OpenAIWire, dumps, last_boundary, loads, parse_event, split

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')


class JsonWire(OpenAIWire):
    """Questions with one answer: embeddings, ranks, counted tokens, images."""

    def request(self) -> bytes:
        return dumps({**self._call.body, "model": self._backend_model})

    def whole(self, payload: bytes) -> bytes:
        answer = loads(payload)
        self._call.count(answer.get("usage"))
        if answer.get("model") in (None, self._call.asked):
            return payload
        answer["model"] = self._call.asked
        return dumps(answer)


class CountWire(JsonWire):
    """Counting tokens costs none."""

    def whole(self, payload: bytes) -> bytes:
        return payload if isinstance(loads(payload).get("input_tokens"), int) else _no_count()


def _no_count() -> bytes:
    raise Garbage("no count of tokens")


class BytesWire(JsonWire):
    """Answers that are not JSON: speech."""

    answer_type = b"application/octet-stream"

    def whole(self, payload: bytes) -> bytes:
        return payload


class EventsWire(OpenAIWire):
    """Dialects whose streams consist of named events and end with one of ENDINGS."""

    ENDINGS: tuple[bytes, ...] = ()

    def __init__(self, call: Call, backend_model: str):
        super().__init__(call, backend_model)
        self._last = b""
        self._usage: dict[str, Any] = {}

    def request(self) -> bytes:
        return dumps({**self._call.body, "model": self._backend_model})

    def feed(self, data: bytes) -> bytes:
        if self.done or self.broken:
            return b""
        data = self._carry + data if self._carry else data
        cut = last_boundary(data)
        if len(data) - cut > LONGEST_EVENT:
            raise Garbage("an event without an end")
        events, self._carry = data[:cut], data[cut:]
        for theirs, ours in self._swaps:
            events = events.replace(theirs, ours)
        self.chunks += events.count(b"data:")
        if self._room > 0:
            self._keep(events)
        if (end := _named(events, self.ENDINGS)) >= 0:
            self.done = True
            events, self._last = events[:end], events[end:]
        elif (end := _named(events, (b"event: error",))) >= 0:
            self.broken = True
            events = events[: end + last_boundary(events[end:])]
        for part in (events, self._last):
            if _USAGE.search(part) is not None:
                self._gather(part)
        if self.done:  # what stands in a stream's first event is not what was used
            self._call.count(self._usage)
        return events

    def _gather(self, events: bytes) -> None:
        for event in split(events):
            if _USAGE.search(event) is None:
                continue
            said = parse_event(event[event.find(b"data:") :]) or {}
            for holder in (said, said.get("message"), said.get("response")):
                usage = holder.get("usage") if isinstance(holder, dict) else None
                if isinstance(usage, dict):
                    self._usage |= {name: value for name, value in usage.items() if value is not None}

    def end(self) -> bytes:
        return self._last


class MessagesWire(EventsWire):
    ENDINGS = (b"event: message_stop",)


class ProviderMessagesWire(MessagesWire):
    """From the service itself, which calls the model by another name in the answer than it was asked by."""

    _named = False

    def feed(self, data: bytes) -> bytes:
        events = super().feed(data)
        if events and not self._named:
            ours = f'"model":{json.dumps(self._call.asked)}'.encode()
            events, found = _MODEL.subn(lambda _: ours, events, count=1)
            self._named = found > 0
        return events

    def count_so_far(self) -> None:
        """Of a stream that broke: what its beginning said was read, and about a token for each piece written."""
        if self._usage and not self._call.counted:
            written = max(self._usage.get("output_tokens") or 0, self.chunks)
            self._call.count({**self._usage, "output_tokens": written})
            self._call.counted = "chunks"


class ResponsesWire(EventsWire):
    ENDINGS = tuple(b"event: response." + word for word in (b"completed", b"incomplete", b"failed"))

    def request(self) -> bytes:
        return dumps({**self._call.body, "model": self._backend_model, "store": False})

    def whole(self, payload: bytes) -> bytes:
        answer = loads(payload)
        self._call.count(answer.get("usage"))
        return dumps({**answer, "model": self._call.asked, "store": False})


class FormWire(OpenAIWire):
    """A form with a file in it: what the caller sent, but for the model's name. The answer is JSON, text or events."""

    def __init__(self, call: Call, backend_model: str):
        super().__init__(call, backend_model)
        self.content_type = call.form_type
        asked = call.body.get("response_format")
        self.answer_type = b"text/plain; charset=utf-8" if asked in ("text", "srt", "vtt") else b"application/json"

    def request(self) -> bytes:
        return multipart.replace(self._call.form, self._call.form_type, "model", self._backend_model)

    def whole(self, payload: bytes) -> bytes:
        if self.answer_type.startswith(b"application/json"):
            self._call.count(loads(payload).get("usage"))
        return payload


def _named(events: bytes, names: tuple[bytes, ...]) -> int:
    """Where the first event with one of these names begins; -1: there is none. In JSON a line can't begin so."""
    found = []
    for name in names:
        if events.startswith(name):
            return 0
        if (at := events.find(b"\n" + name)) >= 0:
            found.append(at + 1)
    return min(found, default=-1)
