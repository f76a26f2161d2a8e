"""Names of contents, as the Hub uses them: sha256 for large files (LFS), the git blob id for the rest.

Hashing streams and is remembered on disk by (device, inode, size, mtime), so a file of many gigabytes is read once,
and renaming or hard-linking it costs nothing.
"""

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".model", ".msgpack", ".h5", ".npz", ".zip")
LFS_FROM_BYTES = 10 * 1024 * 1024
CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Content:
    """One file's contents. `oid` is what git calls it: of the LFS pointer when `lfs`, of the bytes otherwise."""

    size: int
    sha256: str
    oid: str
    lfs: bool

    @property
    def etag(self) -> str:
        """What the Hub sends as ETag, without quotes."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer that stands for this file in git."""
        return len(pointer(self.sha256, self.size))


def is_lfs(path: str, size: int) -> bool:
    """Whether the Hub would store such a file outside git."""
    return path.endswith(LFS_SUFFIXES) or size > LFS_FROM_BYTES


def pointer(sha256: str, size: int) -> bytes:
    """The text git keeps in place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_oid(data: bytes) -> str:
    """The id git gives a blob of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hashes:
    """Remembers hashes in `memory`, a file of JSON lines. Thread-safe."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        if memory.exists():
            for line in memory.read_text().splitlines():
                try:
                    key, sha256, git = json.loads(line)
                except ValueError:  # a line torn by a crash: the file is hashed again
                    continue
                self._known[key] = (sha256, git)

    def of(self, file: Path, path: str) -> Content:
        """Hash `file`, called `path` in its repository; OSError when it can't be read."""
        stat = file.stat()
        key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = _digests(file, stat.st_size)
            with self._lock:
                self._known[key] = known
                with self._memory.open("a") as memory:
                    memory.write(json.dumps([key, *known]) + "\n")
        sha256, git = known
        lfs = is_lfs(path, stat.st_size)
        return Content(stat.st_size, sha256, git_oid(pointer(sha256, stat.st_size)) if lfs else git, lfs)


def _digests(file: Path, size: int) -> tuple[str, str]:
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    want_git = size <= LFS_FROM_BYTES
    with file.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while chunk := stream.read(CHUNK):
            sha256.update(chunk)
            if want_git:
                git.update(chunk)
    return sha256.hexdigest(), git.hexdigest() if want_git else ""
