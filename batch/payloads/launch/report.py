"""What the launcher tells: files in servers/<n>/ for the service, lines on stdout for people."""

import contextlib
import time
from pathlib import Path

from batch.payloads.launch.allocation import Allocation
from batch.payloads.launch.failures import Failure
from batch.payloads.launch.order import Limits
from lifecycle.runfolder import write_json

TAIL = 8000  # characters


class Report:
    """A full disk or a file system that fails over must not end a server that answers: writes may fail, and are
    tried again at the next beat."""

    def __init__(self, folder: Path, allocation: Allocation):
        self.beat_s = Limits.beat_s
        self._folder, self._allocation = folder, allocation
        self._last: tuple[float, dict] = (0.0, {})
        self._endpoint: dict | None = None
        self._unwritten = False

    def begin(self) -> None:
        """Forget what an earlier run under the same job id left."""
        for name in ("endpoint.json", "failure.json"):
            (self._folder / name).unlink(missing_ok=True)

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def beat(self, phase: str, *, rung: int, note: str, progress: float = 0.0, running: int = 0, generated: int = 0,
             healthy: bool = True) -> None:  # fmt: skip
        """Write heartbeat.json every beat_s, and at once when anything but a counter changed."""
        numbers = {"progress": progress, "running": running, "generated": generated}
        words = {"phase": phase, "rung": rung, "note": note, "healthy": healthy}
        at, before = self._last
        now = time.monotonic()
        if words == before and now - at < self.beat_s:
            return
        self._last = (now, words)
        if self._unwritten and self._endpoint is not None:
            self.up(self._endpoint)
        with contextlib.suppress(OSError):
            write_json(self._folder / "heartbeat.json", {**words, **numbers, "job": self._allocation.job})

    def up(self, endpoint: dict) -> None:
        """Publish the address."""
        whose = {"job": self._allocation.job, "restarts": self._allocation.restarts}
        self._endpoint, self._unwritten = endpoint, False
        try:
            write_json(self._folder / "endpoint.json", {**endpoint, **whose})
        except OSError as error:
            self._unwritten = True
            self.say(f"endpoint.json can't be written: {error}")

    def down(self) -> None:
        """Take the address back. Does nothing when there is none."""
        self._endpoint, self._unwritten = None, False
        with contextlib.suppress(OSError):
            (self._folder / "endpoint.json").unlink(missing_ok=True)

    def failed(self, failure: Failure, rung: int) -> None:
        self.say(f"{failure.sentence} {failure.next_step}")
        with contextlib.suppress(OSError):
            write_json(
                self._folder / "failure.json",
                {
                    "sentence": failure.sentence,
                    "retryable": failure.retryable,
                    "next_step": failure.next_step,
                    "kind": failure.kind,
                    "rung": rung,
                    "log": failure.log,
                    "tail": failure.tail[-TAIL:],
                    "job": self._allocation.job,
                },
            )
