"""One JSON object a line on standard error. Never a body, never a key: only its public prefix."""

import contextlib
import json
import sys
import time


def say(event: str, **fields: object) -> None:
    line = json.dumps({"at": round(time.time(), 3), "event": event, **fields}, default=str)
    with contextlib.suppress(OSError):  # who read our log went away: that must not end a request
        sys.stderr.write(line + "\n")
