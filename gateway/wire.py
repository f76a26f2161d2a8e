"""The OpenAI wire as vLLM speaks it: bytes pass through, and only what must differ is touched.

A `Wire` belongs to one attempt at one endpoint. In a stream whole events are looked at with bytes.find and one regular
expression; an event is parsed only when it carries usage.
"""

import json
import re
from functools import lru_cache
from typing import Any, Protocol

import orjson

from gateway.call import Call

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
SAMPLE = 2**14
LONGEST_EVENT = 32 * 2**20

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_BOUNDARY = re.compile(rb"\r?\n\r?\n")


class Garbage(Exception):
    """The backend sent something that is not the protocol."""


class Wire(Protocol):
    """`done` is true when a stream came to its proper end, `broken` when the backend reported an error inside it."""

    done: bool
    broken: bool
    chunks: int
    sample: list[bytes]
    """The events that a stream began with, SAMPLE bytes or a little more; `sampled`: chunks of them."""

    sampled: int
    content_type: str
    """Of the request; empty: JSON."""

    answer_type: bytes
    """Of an answer that is no stream."""

    def request(self) -> bytes: ...

    def whole(self, payload: bytes) -> bytes: ...

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class OpenAIWire:
    content_type = ""
    answer_type = JSON

    def __init__(self, call: Call, backend_model: str):
        self._call = call
        self._backend_model = backend_model
        self._carry = b""
        self.done = False
        self.broken = False
        self.chunks = 0
        self.sample: list[bytes] = []
        self.sampled = 0
        self._room = SAMPLE
        self._swaps = _swaps(backend_model, call.asked) if call.stream else ()

    def request(self) -> bytes:
        body = {**self._call.body, "model": self._backend_model}
        if self._call.stream:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return dumps(body)

    def whole(self, payload: bytes) -> bytes:
        answer = loads(payload)
        self._call.count(answer.get("usage"))
        if answer.get("model") == self._call.asked:
            return payload
        if answer.get("model") == self._backend_model and payload.count(b'"model"') == 1:  # in texts it is escaped
            for theirs, ours in _swaps(self._backend_model, self._call.asked):
                if theirs in payload:
                    return payload.replace(theirs, ours)
        answer["model"] = self._call.asked
        return dumps(answer)

    def feed(self, data: bytes) -> bytes:
        """What of the stream may go to the caller now. Events after [DONE] are dropped."""
        if self.done:
            return b""
        data = self._carry + data if self._carry else data
        cut = last_boundary(data)
        if not cut:
            if len(data) > LONGEST_EVENT:
                raise Garbage("an event without an end")
            self._carry = data
            return b""
        events, self._carry = data[:cut], data[cut:]
        if (end := _done(events)) >= 0:
            self.done = True
            events = events[:end]
        for theirs, ours in self._swaps:
            events = events.replace(theirs, ours)
        if b'data: {"error"' in events:
            self.broken = True
        self.chunks += events.count(b"data:")
        if self._room > 0:
            self._keep(events)
        if b'"usage"' in events:
            events = self._take_usage(events)
        return events

    def _keep(self, events: bytes) -> None:
        """For who must count them, should nobody say what was used."""
        self.sample.append(events)
        self.sampled, self._room = self.chunks, self._room - len(events)

    def _take_usage(self, events: bytes) -> bytes:
        """Look into the events that carry usage, and only those; leave out one that nobody asked for."""
        kept, begin = [], 0
        while (found := _USAGE.search(events, begin)) is not None:
            first, last = _around(events, found.start())
            chunk = parse_event(events[first:last])
            unwanted = False
            if chunk is not None and isinstance(chunk.get("usage"), dict):
                self._call.count(chunk["usage"])
                unwanted = not chunk.get("choices") and not self._call.wants_usage
            kept.append(events[begin : first if unwanted else last])
            begin = last
        kept.append(events[begin:])
        return b"".join(kept)

    def end(self) -> bytes:
        return DONE


@lru_cache(maxsize=1024)
def _swaps(backend_model: str, asked: str) -> tuple[tuple[bytes, bytes], ...]:
    """What is to be replaced by what in a stream, so that it carries the caller's name for the model."""
    if backend_model == asked:
        return ()
    theirs, ours = json.dumps(backend_model), json.dumps(asked)
    return tuple((f'"model":{gap}{theirs}'.encode(), f'"model":{gap}{ours}'.encode()) for gap in ("", " "))


def _done(events: bytes) -> int:
    """Where the event [DONE] begins; -1: it is not among them."""
    at = events.find(b"[DONE]")
    while at >= 0:
        begin = events.rfind(b"\n", 0, at) + 1
        if events[begin:at] in (b"data: ", b"data:"):
            return begin
        at = events.find(b"[DONE]", at + 1)
    return -1


def _around(events: bytes, at: int) -> tuple[int, int]:
    """Beginning and end of the event that holds this byte."""
    first = max(events.rfind(b"\n\n", 0, at) + 2, events.rfind(b"\n\r\n", 0, at) + 3)
    end = _BOUNDARY.search(events, at)
    return first if first > 2 else 0, end.end() if end is not None else len(events)


def last_boundary(data: bytes) -> int:
    """Where the last whole event ends; 0: there is none."""
    plain, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, carriage + 4 if carriage >= 0 else 0)


def split(events: bytes) -> list[bytes]:
    """Whole events, each with its blank line."""
    found, begin = [], 0
    for boundary in _BOUNDARY.finditer(events):
        found.append(events[begin : boundary.end()])
        begin = boundary.end()
    return found


def parse_event(event: bytes) -> dict[str, Any] | None:
    """The JSON object of a `data:` event; None for anything else (a comment, [DONE])."""
    line = event.strip()
    if not line.startswith(b"data:"):
        return None
    try:
        data = loads(line[5:])
    except Garbage:
        return None
    return data


def to_event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + dumps(chunk) + b"\n\n"


def dumps(value: dict[str, Any]) -> bytes:
    # a lone surrogate is legal in JSON but can't be UTF-8, and Python's integers have no limit: the slower way then
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def loads(payload: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(payload)
    except ValueError:
        answer = _loads_slowly(payload)
    if not isinstance(answer, dict):
        raise Garbage("an answer that is not a JSON object")
    return answer


def _loads_slowly(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Garbage("an answer that is not JSON") from None
