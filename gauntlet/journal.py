"""What a shard has finished, safe from any kill: one written line per sample, and one rename at the end.

A line that is written survives the process. It survives the node from the next `sync` on, which the runner does several
times a second for all of them at once: syncing each by itself cost half of all samples per second.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gauntlet.answers import NOT_EVALUATED
from gauntlet.cases import Sample
from gauntlet.runfiles import header, partial_file, publish, read_records, shard_file
from lifecycle.errors import Transient


class ShardBusy(Transient):
    """Another task is at work on this shard."""


class Journal:
    """Opens a shard for appending. `finished`: sample id → record; samples that were not evaluated are asked again."""

    def __init__(self, folder: Path, shard: int, digest: str):
        self._final, self._partial = shard_file(folder, shard), partial_file(folder, shard)
        self._header = header(digest, shard)
        self._file, self._synced = self._open(), True
        done, _ = read_records(self._final, digest)
        begun, good = read_records(self._partial, digest)
        self.finished = {r["id"]: r for r in [*done, *begun] if r["grade"] != NOT_EVALUATED}
        self._records: dict[str, dict[str, Any]] = {r["id"]: r for r in [*done, *begun]} | self.finished
        os.truncate(self._file.fileno(), good)  # a torn last line, or another run's file
        if not good:
            self._write(self._header)

    def add(self, record: dict[str, Any]) -> None:
        """Out of this process when it returns. Asked again in vain, a sample keeps what it had."""
        if record["grade"] == NOT_EVALUATED and record["id"] in self.finished:
            return
        self._records[record["id"]] = record
        self._write(record)

    def count(self, grade: str) -> int:
        return sum(record["grade"] == grade for record in self._records.values())

    def whole(self, samples: Iterable[Sample]) -> bool:
        """Has every sample a record?"""
        return all(sample.id in self._records for sample in samples)

    def publish(self, order: Sequence[str]) -> None:
        """Every record in this order becomes the shard's file; the partial one goes."""
        publish(self._final, [self._header, *(self._records[id_] for id_ in order)])
        self._partial.unlink(missing_ok=True)
        self.close()

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

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._synced = False
