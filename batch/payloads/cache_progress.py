"""cache/progress.json: how far the download is, at least twice a second while it moves."""

import contextlib
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from lifecycle.runfolder import download_progress, write_json

EVERY_S = 0.4
WINDOW_S = 10.0  # over which the rate is an average


class Progress:
    """Told by many threads, written by one. A context manager: the last state is on disk when it ends."""

    def __init__(self, path: Path):
        self._path, self._expected = path, {"total": 0, "files": 0}
        self._bytes: dict[str, int] = {}
        self._done: set[str] = set()
        self._note = ""
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._end = threading.Event()
        self._last: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._write_regularly, daemon=True)

    def expect(self, total: int, files: int, all_bytes: int, all_files: int) -> None:
        """How much there will be: bytes and files of ours, and of all shares together."""
        with self._lock:
            self._expected = {"total": total, "files": files, "all_bytes": all_bytes, "all_files": all_files}

    def moved(self, path: str, there: int) -> None:
        with self._lock:
            self._bytes[path] = there

    def finished(self, path: str, size: int) -> None:
        with self._lock:
            self._bytes[path] = size
            self._done.add(path)

    def note(self, text: str) -> None:
        with self._lock:
            self._note = text

    def __enter__(self) -> "Progress":
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._write()

    def _write_regularly(self) -> None:
        while not self._end.wait(EVERY_S):
            self._write()

    def _write(self) -> None:
        now = time.monotonic()
        with self._lock:
            done, note, files_done = sum(self._bytes.values()), self._note, len(self._done)
        self._recent.append((now, done))
        while now - self._recent[0][0] > WINDOW_S:
            self._recent.popleft()
        (then, before), span = self._recent[0], now - self._recent[0][0]
        state = {
            "done": done,
            "rate": max(0.0, round((done - before) / span, 1)) if span > 0 and then < now else 0.0,
            "note": note,
            "files_done": files_done,
            **self._expected,
        }
        if state != self._last:
            with contextlib.suppress(OSError):  # a full disk shows in the download itself
                write_json(self._path, state)
            self._last = state


def mirror(theirs: Path, ours: Path, note: str) -> None:
    """Another job's progress as ours, with `note`; both are folders of reports."""
    with contextlib.suppress(OSError):
        write_json(ours / "progress.json", {**download_progress(theirs), "note": note})
