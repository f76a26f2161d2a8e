"""Threads that repeat one step. They hold no logic: what is decided stands in the ledger, and a kill loses nothing."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lifecycle.errors import DayzeroError

log = logging.getLogger("dayzero")


@dataclass
class Loop:
    """Calls `step` every `every_s` seconds until `stop`; an exception is logged and the next round comes as usual."""

    name: str
    every_s: float
    step: Callable[[], object]
    stop: threading.Event
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                self.step()
            except DayzeroError as error:
                log.warning("%s: %s", self.name, error.advice)
            except Exception:
                log.exception("%s stumbled", self.name)
            self.stop.wait(max(0.0, self.every_s - (time.monotonic() - began)))
