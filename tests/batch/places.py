"""Places where scripts run, for the tests of the scheduler port."""

import itertools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from batch.scheduler.commands import Answer, Run, run
from lifecycle.jobs import JobState, Sighting
from lifecycle.ports import Scheduler, Script
from tests.waiting import until

_NUMBERS = itertools.count(1)


class Clock:
    """Real time, and a hand that can push it on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class CountingRun:
    """Runs commands for real and keeps what was asked."""

    def __init__(self, wrapped: Run = run) -> None:
        self.asked: list[list[str]] = []
        self._wrapped = wrapped

    def __call__(self, argv: list[str], timeout_s: float) -> Answer:
        self.asked.append(argv)
        return self._wrapped(argv, timeout_s)


@dataclass
class Place:
    """A scheduler, how scripts must look there, and a way to wait for what it says."""

    scheduler: Scheduler
    folder: Path
    header: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    submitted: list[str] = field(default_factory=list)
    pace_s: float = 60

    def script(self, body: str, key: str = "", **options: str) -> Script:
        """A script with this body; `options` are long options, with _ for -; `flag=''` writes a bare flag."""
        key = key or f"t{os.getpid()}-{next(_NUMBERS)}"
        wanted = {"job-name": key, "output": f"{self.folder}/{key}.log"} | self.header
        wanted |= {name.replace("_", "-"): value for name, value in options.items()}
        lines = [f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}" for name, value in wanted.items()]
        path = self.folder / f"{key}.sbatch"
        path.write_text("\n".join(["#!/bin/bash", *lines, body, ""]))
        return Script(key, path)

    def submit(self, body: str, key: str = "", **options: str) -> str:
        handle = self.scheduler.submit(self.script(body, key, **options))
        self.submitted.append(handle)
        return handle

    def look(self, handle: str) -> Sighting:
        return self.scheduler.snapshot([handle]).look(handle)

    def wait(self, handle: str, *states: JobState) -> Sighting:
        def there() -> Sighting | None:
            seen = self.look(handle)
            return seen if seen.state in states else None

        names = " or ".join(state.value for state in states)
        try:
            return until(there, self.pace_s, f"job {handle} to be {names}", every=0.1)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.look(handle)}") from None

    def end_all(self) -> None:
        """Cancel what a test left behind and see it gone, so that the next one finds free nodes."""
        for handle in self.submitted:
            self.scheduler.cancel(handle)
        for handle in self.submitted:
            until(lambda h=handle: self.look(h).state.ended, self.pace_s, f"job {handle} to be over", every=0.1)
