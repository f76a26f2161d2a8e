"""A log of what was asked and answered, for keys and teams that are named in the settings; off for everybody else.

Redacted before it is written, in files of this host that only the service's user may read, of a size that has an end.
A log and no ledger: what waits to be written when the gateway is killed is lost.
"""

import fcntl
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import orjson

from gateway.auth.key import Key
from gateway.call import Call, Reply
from gateway.log import say
from gateway.record.redact import Redactor
from gateway.record.said import said
from lifecycle.sections.gateway import RequestLog

WAITING = 1000
LARGEST = 2**20
"""Bytes of a request or an answer that are looked at."""


@dataclass
class Copy:
    """Implements call.Reply: passes everything on and keeps the beginning of it."""

    reply: Reply
    kept: bytearray = field(default_factory=bytearray)

    @property
    def started(self) -> bool:
        return self.reply.started

    async def start(self, status: int, content_type: bytes) -> None:
        await self.reply.start(status, content_type)

    async def write(self, data: bytes) -> None:
        self._keep(data)
        await self.reply.write(data)

    async def end(self, data: bytes) -> None:
        self._keep(data)
        await self.reply.end(data)

    def _keep(self, data: bytes) -> None:
        if (room := LARGEST - len(self.kept)) > 0:
            self.kept += data[:room]


class Recorder:
    """Implements admission.Check."""

    def __init__(self, settings: RequestLog, folder: Path, clock: Callable[[], float] = time.time):
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._redactor = Redactor(settings.redact)
        self._asked: dict[str, bytes] = {}
        self._copies: dict[str, Copy] = {}
        self._waiting: queue.Queue[tuple[Call, bytes, bytes] | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="gateway-recorder", daemon=True)
        self._thread.start()

    def wants(self, key: Key) -> bool:
        names = (key.name, key.prefix)
        return any(fnmatchcase(name, one) for one in self._settings.keys for name in names) or (
            bool(key.team) and any(fnmatchcase(key.team, one) for one in self._settings.teams)
        )

    def before(self, call: Call) -> None:
        """What was asked is kept as it came: the way to the backend changes it."""
        if self.wants(call.caller):
            small = call.size <= LARGEST
            self._asked[call.id] = orjson.dumps(call.body, default=str) if small else b'"[too large to be kept]"'

    def around(self, call: Call, reply: Reply) -> Reply:
        """The reply that the answer must go through to be seen."""
        if call.id not in self._asked or not self._settings.answers:
            return reply
        copy = self._copies[call.id] = Copy(reply)
        return copy

    def after(self, call: Call) -> None:
        if (asked := self._asked.pop(call.id, None)) is None:
            return
        copy = self._copies.pop(call.id, None)
        try:
            self._waiting.put_nowait((call, asked, bytes(copy.kept) if copy else b""))
        except queue.Full:  # the disk is slower than the callers: the log gives way
            self._dropped += 1

    def close(self) -> None:
        """Write what waits. Blocks."""
        self._waiting.put(None)
        self._thread.join(30)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                append(self._folder, self._line(*item), self._settings.most_mb * 2**20)
            except Exception as error:  # a full disk, or a call that nobody thought of: the next one may go
                say("requests.unwritten", kind=type(error).__name__, reason=str(error)[:300])

    def _line(self, call: Call, asked: bytes, answered: bytes) -> bytes:
        dropped, self._dropped = self._dropped, 0
        line = {
            "at": round(call.at, 3),
            "id": call.id,
            "key": call.caller.prefix,
            "team": call.caller.team,
            "kind": call.kind,
            "model": call.model or call.asked,
            "status": call.status,
            "asked": self._redactor.value(json.loads(asked)),
        }
        if answered:
            line["answered"] = self._redactor.value(said(answered))
        if dropped:
            line["dropped_before"] = dropped
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def append(folder: Path, line: bytes, most: int) -> None:
    """Into requests.jsonl; when two files would be more than `most` bytes, the older one goes. Several workers may."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = folder / "requests.jsonl"
        if newest.exists() and newest.stat().st_size + len(line) > most // 2:
            newest.replace(folder / "requests.old.jsonl")
        handle = os.open(newest, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line[: most // 2])
        finally:
            os.close(handle)
