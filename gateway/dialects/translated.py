"""A wire for backends that don't speak the caller's dialect: they are asked for a chat, and the answer is put back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.call import CHAT, Call
from gateway.dialects.kind import Translation
from gateway.errors import backend_trouble, bad_request
from gateway.wire import JSON, Wire, dumps, loads, parse_event, split


@dataclass(slots=True)
class AsChat:
    """What a wire sees of a call, had it been a chat."""

    body: dict[str, Any]
    asked: str
    stream: bool
    count: Callable[[object], None]
    kind: str = CHAT
    wants_usage: bool = True


class TranslatedWire:
    """Implements Wire around another that speaks chat."""

    def __init__(self, call: Call, backend_model: str, inner: type[Wire], translation: Translation):
        self._call = call
        self._translation = translation
        self._inner = inner(AsChat(as_chat(translation, call.body), call.asked, call.stream, call.count), backend_model)
        self._chunks = translation.stream(call.body, call.id) if call.stream else None
        self._failed = False

    content_type = ""
    answer_type = JSON
    done = property(lambda self: self._inner.done)
    broken = property(lambda self: self._inner.broken)
    chunks = property(lambda self: self._inner.chunks)
    sample = property(lambda self: self._inner.sample)
    sampled = property(lambda self: self._inner.sampled)

    def request(self) -> bytes:
        return self._inner.request()

    def whole(self, payload: bytes) -> bytes:
        return dumps(self._translation.answer(self._call.body, loads(self._inner.whole(payload))))

    def feed(self, data: bytes) -> bytes:
        return self._put_back(self._inner.feed(data))

    def end(self) -> bytes:
        return self._put_back(self._inner.end()) + self._chunks.end()

    def _put_back(self, events: bytes) -> bytes:
        return b"".join(self._event(event) for event in split(events))

    def _event(self, event: bytes) -> bytes:
        chunk = parse_event(event)
        if chunk is None or self._failed:
            return b""
        if "error" in chunk:
            self._failed = True
            said = chunk["error"].get("message") if isinstance(chunk["error"], dict) else chunk["error"]
            return self._call.dialect.event(backend_trouble(str(said)[:1000]))
        return self._chunks.chunk(chunk)


def as_chat(translation: Translation, body: dict[str, Any]) -> dict[str, Any]:
    """The request as a chat's body. ApiError(400) for what is not shaped as its dialect says."""
    try:
        return translation.request(body)
    except (AttributeError, TypeError, KeyError, ValueError):  # an object where a text should be, and the like
        sentence = "The request is not shaped as this API's reference says. Compare its fields with the reference."
        raise bad_request(sentence) from None
