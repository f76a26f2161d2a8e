"""Counting what nobody else counted: a stream that broke, or that its caller left, by the model's own tokenizer.

Of a long stream only its beginning is kept; the rest counts as many tokens a chunk as the beginning had. Where the
weights can't be seen from here, the chunks themselves are counted, and the row says so.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.call import Call
from gateway.log import say
from gateway.wire import Wire, parse_event, split
from gateway.writer import Writer
from lifecycle.runfolder import model_folder

MOST_LOADED = 2
"""Tokenizers in memory: one of a large vocabulary takes 100 MB."""

A_MESSAGE = 4
"""Tokens that a chat template puts around a message, roughly."""

TEXTS = ("content", "reasoning_content", "reasoning", "text", "thinking", "partial_json")


@dataclass(frozen=True)
class Sample:
    """What a stream wrote: the events it began with, how many chunks these were, how many came in all."""

    events: bytes
    sampled: int
    chunks: int

    @classmethod
    def of(cls, wire: Wire) -> "Sample":
        return cls(b"".join(wire.sample), wire.sampled, wire.chunks)


class Counter:
    """`fill` and `count` run the tokenizer in a thread."""

    def __init__(self, shared: Path, writer: Writer):
        self._shared = shared
        self._writer = writer
        self._loaded: OrderedDict[Path, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Task] = set()

    async def fill(self, call: Call, sample: Sample, revision: str) -> None:
        """Give the call its counts, as well as they can be had. Never raises."""
        if call.counted == "backend":
            return
        call.count_chunks(sample.chunks)
        if sample.chunks:
            call.take(*await asyncio.to_thread(self._measure, call.model, revision, call.body, sample))

    def later(self, call: Call, sample: Sample, revision: str) -> None:
        """For a caller who hung up: his row is written when it is counted."""
        task = asyncio.create_task(self._later(call, sample, revision))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _later(self, call: Call, sample: Sample, revision: str) -> None:
        try:
            await self.fill(call, sample, revision)
        finally:
            call.abandon(self._writer)

    async def count(self, model: str, revision: str, body: Mapping[str, Any]) -> int | None:
        """Tokens of a question; None: its tokenizer can't be read here."""
        return await asyncio.to_thread(self._question, model, revision, body)

    async def close(self) -> None:
        """Wait for what is being counted; its rows are then with the writer."""
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _measure(
        self, model: str, revision: str, body: Mapping[str, Any], sample: Sample
    ) -> tuple[int | None, int | None]:
        prompt = self._question(model, revision, body)
        if prompt is None:
            return None, None
        tokens = self._tokens(model, revision, "".join(written(sample.events)))
        return prompt, round(tokens * sample.chunks / max(1, sample.sampled))

    def _question(self, model: str, revision: str, body: Mapping[str, Any]) -> int | None:
        texts = list(asked(body))
        tokens = self._tokens(model, revision, "\n".join(texts))
        messages = body.get("messages")
        around = A_MESSAGE * len(messages) if isinstance(messages, list) else 0
        return None if tokens is None else tokens + around

    def _tokens(self, model: str, revision: str, text: str) -> int | None:
        file = model_folder(self._shared, model, revision) / "tokenizer.json"
        try:
            with self._lock:
                tokenizer = self._load(file)
            return len(tokenizer.encode(text, add_special_tokens=False).ids)
        except Exception as error:  # whatever tokenizers raises for a file it doesn't know: it has no tree of its own
            say("tokenizer.failed", model=model, reason=str(error)[:200])
            return None

    def _load(self, file: Path) -> Any:
        from tokenizers import Tokenizer

        if file not in self._loaded:
            self._loaded[file] = Tokenizer.from_file(str(file))
            if len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(file)
        return self._loaded[file]


def written(events: bytes) -> Iterator[str]:
    """The model's own words in a stream's events, whatever the dialect."""
    for event in split(events):
        chunk = parse_event(event[max(0, event.find(b"data:")) :])
        if chunk is None:
            continue
        if isinstance(chunk.get("delta"), str):  # a response's
            yield chunk["delta"]
        holders = [chunk.get("delta"), *(c.get("delta", c) for c in chunk.get("choices") or () if isinstance(c, dict))]
        for holder in holders:
            if isinstance(holder, dict):
                yield from _words(holder)


def _words(holder: Mapping[str, Any]) -> Iterator[str]:
    yield from (holder[name] for name in TEXTS if isinstance(holder.get(name), str))
    for call in holder.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from (str(function[name]) for name in ("name", "arguments") if function.get(name))


def asked(body: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a question, whatever the dialect; pictures and sounds are no text."""
    for name in ("system", "instructions", "messages", "input", "prompt"):
        yield from _texts(body.get(name))
    if body.get("tools"):
        yield json.dumps(body["tools"])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name in ("text", "content", "arguments", "output", "thinking"):
            yield from _texts(value.get(name))
