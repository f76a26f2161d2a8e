"""A private Postgres in a folder: the real server, on a Unix socket in it and no port, gone when it is stopped."""

import contextlib
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

UNSAFE = ("fsync=off", "full_page_writes=off")
"""It may lose everything in a power cut: a toy's can. A killed process loses nothing."""


class PostgresLabError(Exception):
    """What could not be done, and why."""


def program(name: str) -> str | None:
    """Debian keeps the server's programs off the PATH, a folder for each version; the newest is taken."""
    versions = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
    return next((found for folder in versions if (found := shutil.which(name, path=folder))), shutil.which(name))


def _version(folder: str) -> float:
    part = folder.split("/")[-2]
    return float(part) if part.replace(".", "", 1).isdigit() else 0.0


def missing() -> str:
    """Why no server can be started here; empty: one can."""
    absent = [name for name in ("initdb", "pg_ctl", "postgres") if program(name) is None]
    if absent:
        return f"no {', '.join(absent)} here; as root: apt-get install postgresql"
    if os.geteuid() == 0 and _servant() is None:
        return "Postgres does not run as root, and there is no user postgres or nobody"
    return ""


class Server:
    """`with Server(folder) as server: server.url`. The folder's path must be short: a socket lies in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = folder / "data"

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Make the database unless it is there, and start its server. PostgresLabError."""
        if reason := missing():
            raise PostgresLabError(reason)
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, _servant())
        if not (self.data / "PG_VERSION").exists():
            unfinished = self.folder / "data.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            self._run("initdb", "-D", str(unfinished), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
            unfinished.rename(self.data)
        settings = " ".join(f"-c {one}" for one in UNSAFE)
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' {settings}"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """`mode`: fast, or immediate: as a crash ends it."""
        with contextlib.suppress(PostgresLabError):
            self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def _run(self, name: str, *words: str) -> None:
        as_user = {"user": _servant(), "extra_groups": []} if os.geteuid() == 0 else {}
        # pg_ctl's server would keep a pipe open for ever: files instead
        with open(self.folder / f"{name}.out", "w+") as said:
            done = subprocess.run(
                [program(name), *words], stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.folder,
                check=False, **as_user,
            )  # fmt: skip
            if done.returncode:
                said.seek(0)
                raise PostgresLabError(f"{name} failed: {said.read()[-2000:].strip()}")


def _servant() -> str | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


@contextlib.contextmanager
def temporary() -> Iterator[Server]:
    """A server in a folder of its own under /tmp, both gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dz-pg-") as folder, Server(Path(folder)) as server:
        yield server
