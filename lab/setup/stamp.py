"""Knowing what is done already: a stamp is written last, so a step that was killed has none."""

import contextlib
import fcntl
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path


def digest(*paths: Path, also: str = "") -> str:
    """SHA-256 of the files' names and bytes, and of `also` (an interpreter's version, say)."""
    sha = hashlib.sha256(also.encode())
    for path in paths:
        content = path.read_bytes()
        sha.update(f"{path.name} {len(content)}\n".encode() + content)
    return sha.hexdigest()


class Stamp:
    """`<folder>/.dayzero-stamp`: holds the digest of what the folder was made from."""

    def __init__(self, folder: Path, wanted: str) -> None:
        self._done = folder / ".dayzero-stamp"
        self._begun = folder / ".dayzero-begun"
        self._wanted = wanted

    def is_current(self) -> bool:
        return self._done.is_file() and self._done.read_text() == self._wanted

    def was_interrupted(self) -> bool:
        """True when an earlier run began and did not finish: what it left can't be trusted."""
        return self._begun.is_file()

    def begin(self) -> None:
        self._done.unlink(missing_ok=True)
        self._begun.touch()

    def finish(self) -> None:
        self._done.write_text(self._wanted)
        self._begun.unlink(missing_ok=True)


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other setup runs on this clone; the kernel lets go when a process dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another setup is running here; waiting for it.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
