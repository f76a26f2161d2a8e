"""The board: what every key, team and provider with limits has used, in memory that all workers of a host share.

One file beside gateway.db, mapped by each worker, in 64-bit words. Whoever reads to decide holds `lock`: that is what
makes limits exact. Two rules make kill -9 harmless at any line:

- Each change that counts is the store of one aligned word, and in an order in which a half-done change counts too much,
  never too little.
- What is reserved for running requests stands in a column for each worker. A worker holds a lock on a byte of its own,
  which the kernel opens when it dies; then `bury` takes its column away.
"""

import fcntl
import mmap
import os
import secrets
import struct
from hashlib import blake2b
from pathlib import Path

from gateway.auth import shares, windows

BOARD = "limits.board"
"""Beside gateway.db."""

MAGIC = 0x6461797A65726F32
HEAD = 64
VERSION_AT, WORKERS_AT, SUBJECTS_AT = 0, 1, 2

MOST_WORKERS = 128
MOST_SUBJECTS = 8192

NAME, LOADED = 0, 1
TOKENS_HELD = shares.LIMIT + shares.SIZE
COSTS_HELD = TOKENS_HELD + MOST_WORKERS
STRIDE = COSTS_HELD + MOST_WORKERS
SIZE = (HEAD + MOST_SUBJECTS * STRIDE) * 8

# of the open file, not of the process: another Board in this process is another worker, as tests want it
_BYTE = struct.Struct("hhqqi4x")


class BoardFull(Exception):
    """More keys, teams and providers with limits than the board has lines for."""


class Board:
    def __init__(self, path: Path):
        """Raises OSError when the file can't be had, or when there are too many workers."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._known: dict[str, int] = {}
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._map, self.words = self._open()
            self.worker = self._join()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def lock(self) -> None:
        """For microseconds, and never across an await."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def unlock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def line(self, subject: str) -> int:
        """Where the words of that subject are. Holding the lock. BoardFull."""
        at = self._known.get(subject)
        if at is None:
            at = self._known[subject] = self._find(_hashed(subject))
        return at

    def lines(self) -> range:
        """Where each subject's words are."""
        return range(HEAD, HEAD + self.words[SUBJECTS_AT] * STRIDE, STRIDE)

    def is_new(self, at: int) -> bool:
        """Do its sums have to be read from the ledger?"""
        return not self.words[at + LOADED]

    def is_loaded(self, at: int) -> None:
        self.words[at + LOADED] = 1

    def held(self, at: int) -> int:
        """Tokens that all workers have reserved there."""
        return sum(self.words[at + TOKENS_HELD : at + TOKENS_HELD + self.words[WORKERS_AT]])

    def costs_held(self, at: int) -> int:
        return sum(self.words[at + COSTS_HELD : at + COSTS_HELD + self.words[WORKERS_AT]])

    def hold(self, at: int, tokens: int, cost: int) -> None:
        """Add to what this worker has reserved; below zero: give back."""
        if tokens:
            self.words[at + TOKENS_HELD + self.worker] += tokens
        if cost:
            self.words[at + COSTS_HELD + self.worker] += cost

    def dead(self) -> list[int]:
        """Workers that left without a word and still have reservations on the board."""
        others = [n for n in range(self.words[WORKERS_AT]) if n != self.worker]
        return [n for n in others if self._is_free(n) and self._holds(n)]

    def bury(self, worker: int) -> None:
        """Take away what that dead worker has reserved, unless its column has another owner by now. Takes the lock."""
        self.lock()
        try:
            if self._is_free(worker):
                self._clear(worker)
        finally:
            self.unlock()

    def close(self) -> None:
        """Another worker may have this column."""
        self.lock()
        self._clear(self.worker)
        self.words.release()
        self._map.close()
        os.close(self._file)  # opens the locks

    def _open(self) -> tuple[mmap.mmap, memoryview]:
        if os.fstat(self._file).st_size != SIZE:
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, SIZE)  # sparse: only lines in use take room
        mapped = mmap.mmap(self._file, SIZE)
        words = memoryview(mapped).cast("q")
        if words[VERSION_AT] != MAGIC:
            words[WORKERS_AT] = words[SUBJECTS_AT] = 0
            words[shares.HOST_AT] = secrets.randbits(62) + 1
            words[VERSION_AT] = MAGIC
        return mapped, words

    def _join(self) -> int:
        count = self.words[WORKERS_AT]
        if all(self._is_free(n) for n in range(count)):  # nobody else is here: sums come from the ledger again
            self.words[shares.UNTIL_AT] = 0  # the clock may be another boot's
            for at in self.lines():
                self.words[at + LOADED] = 0
                windows.forget(self.words, at)
        for n in range(MOST_WORKERS):
            if self._take(n):
                self._clear(n)
                self.words[WORKERS_AT] = max(count, n + 1)
                return n
        raise OSError(f"More than {MOST_WORKERS} processes share {self._file}.")

    def _find(self, name: int) -> int:
        words, count = self.words, self.words[SUBJECTS_AT]
        for n in range(count):
            if words[HEAD + n * STRIDE + NAME] == name:
                return HEAD + n * STRIDE
        if count == MOST_SUBJECTS:
            raise BoardFull
        at = HEAD + count * STRIDE
        for n in range(at, at + STRIDE):
            words[n] = 0
        words[at + NAME] = name
        words[SUBJECTS_AT] = count + 1
        return at

    def _holds(self, worker: int) -> bool:
        columns = (TOKENS_HELD + worker, COSTS_HELD + worker)
        return any(self.words[at + column] for at in self.lines() for column in columns)

    def _clear(self, worker: int) -> None:
        """What its owner had committed to the ledger and not yet booked here is read from there by who comes next."""
        for at in self.lines():
            tokens, cost = self.words[at + TOKENS_HELD + worker], self.words[at + COSTS_HELD + worker]
            if tokens or cost:
                self.words[at + LOADED] = 0
                shares.keep_held(self.words, at, tokens, cost)
                self.words[at + TOKENS_HELD + worker] = 0
                self.words[at + COSTS_HELD + worker] = 0

    def _take(self, worker: int) -> bool:
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _BYTE.pack(fcntl.F_WRLCK, os.SEEK_SET, worker, 1, 0))
        except OSError:
            return False
        return True

    def _is_free(self, worker: int) -> bool:
        asked = _BYTE.pack(fcntl.F_WRLCK, os.SEEK_SET, worker, 1, 0)
        return _BYTE.unpack(fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, asked))[0] == fcntl.F_UNLCK


def _hashed(subject: str) -> int:
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), "little", signed=True) or 1
