"""One job at a time fetches a model; the others wait and watch. A file that only one can create, and its heartbeat.

The owner touches the file every few seconds. It is stale when nobody has touched it for `STALE_S`, or at once when its
process ran on this machine and is gone. Should two jobs ever fetch at once in spite of it, the hashes still decide.
"""

import contextlib
import json
import os
import socket
import threading
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

BEAT_S = 5.0
STALE_S = 60.0


@dataclass(frozen=True)
class Owner:
    token: str
    job: str
    host: str
    pid: int
    started: str  # of the process, so that a pid used again isn't taken for it
    pids: str  # the name space the pid counts in
    run_folder: str  # where the owner's progress can be read


def this_process(run_folder: Path) -> Owner:
    return Owner(
        token=uuid.uuid4().hex,
        job=os.environ.get("SLURM_JOB_ID", ""),
        host=socket.gethostname(),
        pid=os.getpid(),
        started=_started(os.getpid()),
        pids=_pid_space(),
        run_folder=str(run_folder),
    )


class Lock:
    def __init__(self, path: Path, owner: Owner):
        self.path, self._owner = path, owner
        self._end = threading.Event()
        self._beat: threading.Thread | None = None

    def take(self) -> Owner | None:
        """None: it is ours now. Else who holds it, alive as far as we know."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            if self._create():
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

    def release(self) -> None:
        self._end.set()
        if self._beat is not None:
            self._beat.join()
            held = read_owner(self.path)
            if held is not None and held.token == self._owner.token:
                self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        """Written aside and linked: the file is complete when it appears. link() fails when it exists, on NFS too."""
        aside = self.path.with_name(f".{self.path.name}.{self._owner.token}")
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
        if holder.host == socket.gethostname() and holder.pids == _pid_space():
            return _started(holder.pid) != holder.started
        return self._age() > STALE_S

    def _age(self) -> float:
        """Seconds since the last heartbeat, by the file system's own clock: those of two nodes may differ."""
        probe = self.path.with_name(f".{self.path.name}.{self._owner.token}.clock")
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
            held = read_owner(self.path)
            if held is not None and held.token == self._owner.token:
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
