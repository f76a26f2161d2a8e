"""What a model said, out of the bytes of an answer in any dialect. Pure.

A stream is put together before anything is redacted: a secret cut into tokens is none to a pattern.
"""

import json
import re

WORDS = ("content", "text", "delta", "reasoning_content", "reasoning", "thinking", "partial_json", "arguments")
"""Fields of a stream's events that hold pieces of what is said."""

_END = re.compile(rb"\r?\n\r?\n")


def said(answer: bytes) -> object:
    """A JSON answer as it is; of a stream the text; None: neither (sound, say)."""
    if answer.lstrip()[:1] in (b"{", b"["):
        try:
            return json.loads(answer)
        except ValueError:
            return answer.decode("utf-8", "replace")
    if b"data:" not in answer[:2000]:
        return None
    pieces: list[str] = []
    for event in _END.split(answer):
        data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        try:
            _collect(json.loads(data), pieces)
        except ValueError:  # [DONE], or the last event was cut
            continue
    return "".join(pieces)


def _collect(value: object, pieces: list[str]) -> None:
    """Whole texts that some dialects repeat at the end (`response.completed`, `….done`) are left out."""
    if isinstance(value, list):
        for inner in value:
            _collect(inner, pieces)
    if not isinstance(value, dict) or str(value.get("type", "")).endswith((".done", ".completed")):
        return
    for name, inner in value.items():
        if isinstance(inner, str) and name in WORDS:
            pieces.append(inner)
        elif isinstance(inner, dict | list):
            _collect(inner, pieces)
