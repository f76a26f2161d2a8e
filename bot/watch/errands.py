"""Questions that may take long, asked by a few threads. Daemons: one that hangs holds up no end of a process."""

import queue
import threading
from collections.abc import Callable
from typing import Any

Returned = tuple[str, Any, Exception | None]
"""(key, result, error): one of the last two is None."""


class Errands:
    """`send` never waits; `back` gives one that has ended. It has one owner; only what is run is in threads."""

    def __init__(self, name: str, most: int):
        self._name = name
        self._most = most
        self._threads: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[tuple[str, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Returned] = queue.SimpleQueue()
        self.away: set[str] = set()

    def send(self, key: str, run: Callable[[], Any]) -> None:
        """`run` in some thread, soon. One errand of a key at a time: ValueError."""
        if key in self.away:
            raise ValueError(f"{key} is away already")
        self.away.add(key)
        self._todo.put((key, run))
        if len(self._threads) < min(self._most, len(self.away)):
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def back(self, timeout_s: float) -> Returned | None:
        """One that has ended; None when none has within so many seconds."""
        try:
            returned = self._done.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        self.away.discard(returned[0])
        return returned

    def close(self) -> None:
        """What waits is dropped; what is being asked ends by itself."""
        while not self._todo.empty():
            self._todo.get()
        for _ in self._threads:
            self._todo.put(None)

    def _work(self) -> None:
        while (errand := self._todo.get()) is not None:
            key, run = errand
            try:
                self._done.put((key, run(), None))
            except Exception as error:
                self._done.put((key, None, error))
