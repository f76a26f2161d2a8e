"""Is this file what the Hub says it is? sha256 for large files, git's sha1 for small ones."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

CHUNK = 2**20


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def new_digest(size: int, sha256: str | None, blob_id: str | None) -> tuple[Digest, str | None]:
    """An empty digest and the value it must have in the end; None: the Hub gave no hash, only the size counts."""
    if sha256:
        return hashlib.sha256(), sha256
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % size)
    return digest, blob_id


def feed(digest: Digest, path: Path, tick: Callable[[], None] = lambda: None) -> int:
    """Add what is already in `path`; returns its bytes. `tick` is called for each chunk and may raise to stop."""
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            tick()
    return done


def same(
    path: Path, size: int, sha256: str | None, blob_id: str | None, tick: Callable[[], None] = lambda: None
) -> bool:
    if not path.is_file() or path.is_symlink() or path.stat().st_size != size:
        return False
    digest, expected = new_digest(size, sha256, blob_id)
    feed(digest, path, tick)
    return expected is None or digest.hexdigest() == expected
