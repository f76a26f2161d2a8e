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
    """Calls `step` every `every_s` seconds until `stop`; an exception is logged and the next round comes as usual.

    What stays wrong is logged once, and once that it is over: an outage of hours is two lines, not thousands.
    """

    name: str
    every_s: float
    step: Callable[[], object]
    stop: threading.Event
    thread: threading.Thread = field(init=False)
    trouble: str = ""

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            self.round()
            self.stop.wait(max(0.0, self.every_s - (time.monotonic() - began)))

    def round(self) -> None:
        """One step. Never raises."""
        try:
            self.step()
        except DayzeroError as error:
            if error.advice != self.trouble:
                log.warning("%s: %s", self.name, error.advice)
            self.trouble = error.advice
        except Exception:
            log.exception("%s stumbled", self.name)
        else:
            if self.trouble:
                log.info("%s: goes on", self.name)
            self.trouble = ""
