"""Ports for one attempt: from a range that belongs to the job, free now, and taken by no other launcher of this host.

A port found free can be lost before the engine binds it. Launchers don't take each other's: each reserves its ports
under a name in Linux's abstract socket namespace, which goes when the process does. Against everybody else there is the
retry with other ports.
"""

import contextlib
import socket
from collections.abc import Iterator

FIRST, LAST, EACH = 20000, 32000, 16  # below what Linux hands out for outgoing connections


class NoPorts(Exception):
    """Every port of the range is taken."""


class Ports:
    def __init__(self, job: str):
        self._candidates = _candidates(job)
        self._reserved: list[socket.socket] = []

    def take(self, count: int) -> list[int]:
        """`count` ports never given before by this object. Raises NoPorts."""
        self.release()
        found = []
        for port in self._candidates:
            if _is_free(port) and (held := _reserve(port)):
                self._reserved.append(held)
                found.append(port)
                if len(found) == count:
                    return found
        raise NoPorts(f"no free port between {FIRST} and {LAST}")

    def release(self) -> None:
        for held in self._reserved:
            held.close()
        self._reserved.clear()


def _candidates(job: str) -> Iterator[int]:
    """The job's own sixteen first, then everybody's, each once."""
    number = int(job) if job.isdigit() else sum(job.encode())
    start = number * EACH % (LAST - FIRST)
    for step in range(LAST - FIRST):
        yield FIRST + (start + step) % (LAST - FIRST)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> socket.socket | None:
    held = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(OSError):
        held.bind(f"\0dayzero-port-{port}")
        return held
    held.close()
    return None
