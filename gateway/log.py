"""One JSON object a line on standard error. Never a body, never a key: only its public prefix."""

import asyncio
import contextlib
import json
import sys
import time

import orjson

SOON_S = 0.05
_waiting: list[bytes] = []


def say(event: str, **fields: object) -> None:
    """At once."""
    flush()
    _put(json.dumps({"at": round(time.time(), 3), "event": event, **fields}, default=str) + "\n")


def note(event: str, fields: dict[str, object]) -> None:
    """With others in one write, within SOON_S: for what comes thousands of times a second. Needs a running loop."""
    line = {"at": round(time.time(), 3), "event": event, **fields}
    _waiting.append(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
    if len(_waiting) == 1:
        asyncio.get_running_loop().call_later(SOON_S, flush)


def flush() -> None:
    """Write what waits. Call it before the end."""
    if _waiting:
        lines = b"".join(_waiting).decode()
        _waiting.clear()
        _put(lines)


def _put(lines: str) -> None:
    with contextlib.suppress(OSError):  # who read our log went away: that must not end a request
        sys.stderr.write(lines)
