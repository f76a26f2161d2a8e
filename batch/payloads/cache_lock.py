"""One job at a time fetches a model; the others wait and watch. A file that only one can create, and its heartbeat.

The owner touches the file every few seconds. It is stale at once when its process ran on this machine and is gone; when
the scheduler says that its job is not at work (asked at once about an earlier attempt for the same run folder, about
others when the file hasn't been touched for `DOUBT_S`); and after `STALE_S` where the scheduler says nothing. A job
that is suspended goes on holding it. Should two jobs ever fetch at once in spite of it, the hashes still decide.

All tasks of an array are one owner: whoever comes joins, and the lock stays when one of them goes.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from batch.payloads.ending import job_id
from batch.payloads.slurm_jobs import at_work

BEAT_S = 5.0
DOUBT_S = 3 * BEAT_S
STALE_S = 60.0
ASK_EVERY_S = 5.0


@dataclass(frozen=True)
class Owner:
    token: str
    job: str
    host: str
    pid: int  # 0: a whole array
    started: str  # of the process, so that a pid used again isn't taken for it
    pids: str  # the name space the pid counts in
    run_folder: str  # where the owner's progress can be read


def this_process(run_folder: Path, *, whole_array: bool = False) -> Owner:
    """`whole_array`: as one with the other tasks of this array, which share the run folder."""
    array = f"array-{job_id()}-{run_folder.name}" if whole_array else ""
    return Owner(
        token=array or uuid.uuid4().hex,
        job=job_id(),
        host=socket.gethostname(),
        pid=0 if array else os.getpid(),
        started="" if array else _started(os.getpid()),
        pids=_pid_space(),
        run_folder=str(run_folder),
    )


class Lock:
    def __init__(self, path: Path, owner: Owner):
        self.path, self._owner = path, owner
        self._end = threading.Event()
        self._beat: threading.Thread | None = None
        self._asked: tuple[float, str, bool | None] = (-ASK_EVERY_S, "", None)  # when, about which job, the answer

    def take(self) -> Owner | None:
        """None: it is ours now. Else who holds it, alive as far as we know."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            if self._create() or self._join():
                self._beat = threading.Thread(target=self._keep_beating, daemon=True)
                self._beat.start()
                return None
            holder = read_owner(self.path)
            if holder is not None and not self._stale(holder):
                return holder
            if holder is None and self._age() < STALE_S:  # just being written, or just released
                self._end.wait(0.05)
            else:
                self._remove_stale(holder)

    def release(self, *, leave: bool = False) -> None:
        """`leave`: to the other tasks of the array."""
        self._end.set()
        if self._beat is not None:
            self._beat.join()
            if self._ours() and not leave:
                self.path.unlink(missing_ok=True)

    def _ours(self) -> bool:
        held = read_owner(self.path)
        return held is not None and held.token == self._owner.token

    def _join(self) -> bool:
        """Another task of our array holds it, or held it last."""
        if not self._owner.pid and self._ours():
            with contextlib.suppress(OSError):
                os.utime(self.path)
            return self._ours()
        return False

    def _create(self) -> bool:
        """Written aside and linked: the file is complete when it appears. link() fails when it exists, on NFS too."""
        aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        aside.write_text(json.dumps(asdict(self._owner)))
        try:
            os.link(aside, self.path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            return self._create_in_place()
        finally:
            aside.unlink(missing_ok=True)
        return True

    def _create_in_place(self) -> bool:
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(asdict(self._owner)))
        return True

    def _stale(self, holder: Owner) -> bool:
        if holder.pid and holder.host == socket.gethostname() and holder.pids == _pid_space():
            return _started(holder.pid) != holder.started
        age = self._age()
        doubtful = age > DOUBT_S or holder.run_folder == self._owner.run_folder
        if doubtful and holder.job and (alive := self._at_work(holder.job)) is not None:
            return not alive
        return age > STALE_S

    def _at_work(self, job: str) -> bool | None:
        """The scheduler's answer, asked for now and then."""
        asked, about, answer = self._asked
        if about != job or time.monotonic() - asked > ASK_EVERY_S:
            answer = at_work(job)
            self._asked = (time.monotonic(), job, answer)
        return answer

    def _age(self) -> float:
        """Seconds since the last heartbeat, by the file system's own clock: those of two nodes may differ."""
        probe = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.clock")
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            probe.unlink(missing_ok=True)

    def _remove_stale(self, seen: Owner | None) -> None:
        """Move it away, and look at what was moved: somebody else may have been faster and hold a new one by now."""
        away = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.stale")
        try:
            self.path.rename(away)
        except FileNotFoundError:
            return
        moved = read_owner(away)
        if moved is not None and (seen is None or moved.token != seen.token):
            with contextlib.suppress(OSError):
                os.link(away, self.path)
        away.unlink(missing_ok=True)

    def _keep_beating(self) -> None:
        while not self._end.wait(BEAT_S):
            if self._ours():
                with contextlib.suppress(OSError):
                    os.utime(self.path)


def read_owner(path: Path) -> Owner | None:
    """Who holds the lock at `path`; None when nobody does."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _started(pid: int) -> str:
    """The start time of a process in clock ticks since boot; '' when there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _pid_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
