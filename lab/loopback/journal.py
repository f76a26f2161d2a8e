"""What was asked and how it was answered, for tests to read. Never a secret: only whether there was one."""

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field

KEPT_HEADERS = ("accept", "if-none-match", "range", "user-agent", "x-github-api-version")


@dataclass
class Entry:
    """One request. `status` 0 means no answer yet; `sent` counts body bytes; `fault` says it was spoilt on purpose."""

    method: str
    path: str
    query: str
    authorized: bool
    headers: dict[str, str] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    status: int = 0
    sent: int = 0
    fault: bool = False
    done: bool = False

    @property
    def target(self) -> str:
        """Path and query, as the client wrote them."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Journal:
    """The last 20,000 requests, in order of arrival."""

    def __init__(self, keep: int = 20_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)

    def entries(self, contains: str = "") -> list[Entry]:
        """Those whose method and target ("GET /api/models?limit=2") contain this text."""
        with self._lock:
            return [entry for entry in self._entries if contains in f"{entry.method} {entry.target}"]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def rows(self) -> list[dict[str, object]]:
        """All of it, JSON-ready."""
        return [asdict(entry) for entry in self.entries()]
