"""What a shard has finished, safe from any kill: one written line per sample, and one rename at the end.

A line that is written survives the process. It survives the node from the next `sync` on, which the runner does several
times a second for all of them at once: syncing each by itself cost half of all samples per second.
"""

import contextlib
import fcntl
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from gauntlet.answers import NOT_EVALUATED
from gauntlet.runfiles import header, partial_file, publish, read_lines, shard_file
from lifecycle.errors import Transient


class ShardBusy(Transient):
    """Another task is at work on this shard."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a record stands, and what is asked of it most: a hundred thousand of them must fit."""

    grade: str
    final: bool  # in the finished file, else in the partial one
    offset: int
    length: int


class Journal:
    """Opens a shard for appending. It keeps where each record stands and reads it again when somebody asks."""

    def __init__(self, folder: Path, shard: int, digest: str):
        self._final, self._partial = shard_file(folder, shard), partial_file(folder, shard)
        self._header = header(digest, shard)
        self._file, self._synced = self._open(), True
        self._places: dict[str, _Place] = {}
        self._counted: Counter[str] = Counter()
        good = 0
        for path, final in ((self._final, True), (self._partial, False)):
            for line in read_lines(path, digest):
                self._keep(line.record, _Place(sys.intern(line.record["grade"]), final, line.offset, line.length))
                good = good if final else line.offset + line.length
        os.truncate(self._file.fileno(), good)  # a torn last line, or another run's file
        self._end = good
        if not good:
            self._write(self._header)

    def finished(self, id_: str) -> dict[str, Any] | None:
        """The sample's record; None when there is none that counts: what was not evaluated is asked again."""
        place = self._places.get(id_)
        if place is None or place.grade == NOT_EVALUATED:
            return None
        path = self._final if place.final else self._partial
        with path.open("rb") as file:
            return json.loads(self._raw(place, {path: file}))

    def add(self, record: dict[str, Any]) -> None:
        """Out of this process when it returns. Asked again in vain, a sample keeps what it had."""
        if not self._counts_more(record):
            return
        offset = self._end
        length = self._write(record)
        self._keep(record, _Place(sys.intern(record["grade"]), False, offset, length))

    def count(self, grade: str) -> int:
        return self._counted[grade]

    def whole(self, ids: Iterable[str]) -> bool:
        """Has every sample a record?"""
        return all(id_ in self._places for id_ in ids)

    def publish(self, order: Iterable[str]) -> None:
        """Every record in this order becomes the shard's file; the partial one goes."""
        with contextlib.ExitStack() as files:
            there = [path for path in (self._final, self._partial) if path.exists()]
            kept = {path: files.enter_context(path.open("rb")) for path in there}
            publish(self._final, chain([self._header], (self._raw(self._places[id_], kept) for id_ in order)))
        self._partial.unlink(missing_ok=True)
        self.close()

    def _counts_more(self, record: dict[str, Any]) -> bool:
        """Than what there is of this sample."""
        known = self._places.get(record["id"])
        return known is None or known.grade == NOT_EVALUATED or record["grade"] != NOT_EVALUATED

    def _keep(self, record: dict[str, Any], place: _Place) -> None:
        if self._counts_more(record):
            if (before := self._places.get(record["id"])) is not None:
                self._counted[before.grade] -= 1
            self._places[sys.intern(record["id"])] = place
            self._counted[place.grade] += 1

    def _raw(self, place: _Place, files: Mapping[Path, BinaryIO]) -> bytes:
        file = files[self._final if place.final else self._partial]
        file.seek(place.offset)
        return file.read(place.length)

    def sync(self) -> None:
        """On disk. May run in a thread of its own, also while the file is being closed."""
        if not self._synced:
            self._synced = True
            with contextlib.suppress(OSError, ValueError):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _open(self) -> BinaryIO:
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        file = self._partial.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ShardBusy(f"Another task is at work on {self._final.name}.", "Wait for it, or cancel it.") from None
        except OSError:
            # file systems without locks: Slurm starts an array task once, so this is a courtesy to people
            with contextlib.suppress(OSError):
                file.seek(0, os.SEEK_END)
        return file

    def _write(self, row: dict[str, Any]) -> int:
        """The line's bytes."""
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._synced = False
        self._end += len(line)
        return len(line)
