"""One file from the Hub into one path: resumed where an earlier process stopped, checked, retried.

huggingface_hub resumes only within one call, so we ask for ranges ourselves, with its addresses and headers. What has
arrived is in `<name>.part`; the name itself exists only when size and hash are right.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from batch import hub_answers
from batch.payloads.cache_verify import feed, new_digest
from batch.payloads.ending import Stopped
from lifecycle.errors import DayzeroError, HubUnavailable, NoSpace, Refused, UnknownModel

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Patience:
    """Times in seconds. `tries`: in a row without a new byte. `damaged`: times that one file may arrive damaged."""

    tries: int = 8
    first_s: float = 1.0  # wait after the first failure; doubled for each further one
    longest_s: float = 60.0
    silence_s: float = 60.0  # a connection without a byte for this long is given up
    damaged: int = 3

    def wait(self, failures: int, asked: float | None) -> float:
        longest = max(self.longest_s, 310.0) if asked is not None else self.longest_s  # the Hub counts in 5 minutes
        return min(longest, asked if asked is not None else self.first_s * 2 ** max(0, failures - 1))


@dataclass(frozen=True, kw_only=True)
class Source:
    repo: str
    path: str
    url: str
    size: int
    sha256: str | None
    blob_id: str | None


class Fetch:
    """Shared by the threads of a download: one connection pool, one stop signal. `moved` hears (path, bytes there)."""

    def __init__(
        self,
        headers: Mapping[str, str],
        patience: Patience,
        stop: threading.Event,
        moved: Callable[[str, int], None],
        said: Callable[[str], None] = lambda _: None,
    ):
        self._patience, self._stop, self._moved, self._said = patience, stop, moved, said
        timeout = httpx.Timeout(patience.silence_s, connect=min(20.0, patience.silence_s))
        self._client = httpx.Client(headers=dict(headers), follow_redirects=True, timeout=timeout)

    def close(self) -> None:
        self._client.close()

    def file(self, source: Source, target: Path) -> None:
        """Returns when `target` is there and right. Raises Stopped, or one of lifecycle.errors."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        failures = damaged = 0
        while True:
            before = size_of(part)
            try:
                if self._attempt(source, part):
                    part.replace(target)
                    return
                damaged += 1
                self._said(f"{source.path} arrived damaged; fetching it again")
                if damaged >= self._patience.damaged:
                    raise Refused(
                        f"{source.path} of {source.repo} arrived damaged {damaged} times.",
                        "A proxy or a disk on the way changes it: find that first, then retry.",
                    )
                continue
            except OSError as error:
                raise _of_disk(error, source) from error
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}".rstrip(": ")
                problem: DayzeroError = HubUnavailable(f"The download of {source.path} broke off ({why}).")
            except HubUnavailable as error:
                problem = error
            failures = 1 if size_of(part) > before else failures + 1
            if failures >= self._patience.tries:
                raise HubUnavailable(
                    f"{problem} {failures} tries in a row brought nothing new.",
                    "What has arrived is kept; try again later.",
                )
            self._said(f"{problem} Trying again.")
            if self._stop.wait(self._patience.wait(failures, problem.retry_after_s)):
                raise Stopped

    def _attempt(self, source: Source, part: Path) -> bool:
        """One request for what is missing. False: all came, it isn't what the Hub promised, and it was thrown away."""
        have = size_of(part)
        if have > source.size:
            part.unlink()
            have = 0
        digest, expected = new_digest(source.size, source.sha256, source.blob_id)
        if have:
            feed(digest, part, self.tick)
        self._moved(source.path, have)
        if have < source.size or not part.exists():
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
            with self._client.stream("GET", source.url, headers=headers) as response:
                if response.status_code not in (200, 206):
                    response.read()
                    raise _of_status(response, source)
                if have and not _continues(response, have):
                    digest, expected = new_digest(source.size, source.sha256, source.blob_id)
                    have = 0
                with part.open("ab" if have else "wb", buffering=0) as file:
                    for chunk in response.iter_raw():
                        self.tick()
                        if have + len(chunk) > source.size:
                            break
                        _write(file, chunk)
                        digest.update(chunk)
                        have += len(chunk)
                        self._moved(source.path, have)
                    else:
                        if have < source.size:
                            raise httpx.RemoteProtocolError(f"{have} of {source.size} bytes came")
                    os.fsync(file.fileno())
        if have == source.size and (expected is None or digest.hexdigest() == expected):
            return True
        part.unlink()
        self._moved(source.path, 0)
        return False

    def tick(self) -> None:
        """Raises Stopped when it is time to end."""
        if self._stop.is_set():
            raise Stopped


def _write(file, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:  # an unbuffered write may be short, on a full disk too
        view = view[file.write(view) :]


def _continues(response: httpx.Response, have: int) -> bool:
    """A server or a proxy may answer a range with the whole file, or with another range."""
    if response.status_code != 206:
        return False
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == have


def size_of(path: Path) -> int:
    """Its bytes; 0 when it isn't there."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _of_disk(error: OSError, source: Source) -> DayzeroError:
    if error.errno in FULL:
        return NoSpace(
            f"There was no room left while {source.path} ({source.size} bytes) was written: {error.strerror}.",
            "Make room on the shared file system, then retry; what has arrived is kept.",
        )
    return Refused(f"{source.path} can't be written: {error.strerror}.", "Mend the folder's permissions or its disk.")


def _of_status(response: httpx.Response, source: Source) -> DayzeroError:
    status = response.status_code
    page = source.url.split("/resolve/")[0]
    if response.headers.get("X-Error-Code") == "GatedRepo":
        return hub_answers.gated(source.repo, page)
    if status in hub_answers.PASSING or status == 416:
        return hub_answers.busy(status, response.headers)
    if status in (401, 403):
        return hub_answers.bad_token(status)
    return UnknownModel(f"The Hub no longer has {source.path} of {source.repo} (HTTP {status}).", f"Look at {page}.")
