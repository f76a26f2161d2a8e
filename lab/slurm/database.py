"""MariaDB and slurmdbd: what accounting stands on."""

import shutil
import socket
import subprocess

from lab.slurm import daemons, probe
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout

COMMON = ["--no-defaults", "--user=root", "--skip-name-resolve", "--innodb-log-file-size=8M"]
COMMON += ["--innodb-data-file-path=ibdata1:8M:autoextend", "--innodb-autoextend-increment=4"]


def make(layout: Layout) -> bool:
    """Make an empty database unless there is one; False when there is."""
    if (layout.mysql / "mysql").is_dir():
        return False
    unfinished = layout.folder / "mysql.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    argv = [probe.program("mariadb-install-db"), *COMMON, f"--datadir={unfinished}", "--skip-test-db"]
    argv += ["--auth-root-authentication-method=socket", "--auth-root-socket-user=root"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SlurmLabError(f"the accounting database could not be made: {(done.stderr or done.stdout).strip()}")
    shutil.rmtree(layout.mysql, ignore_errors=True)
    unfinished.rename(layout.mysql)
    layout.mysql.chmod(0o700)
    return True


def start_mariadb(layout: Layout) -> None:
    """Start MariaDB on its socket, without a port; it may lose the last second in a power cut, a toy's can."""
    argv = ["mariadbd", *COMMON, f"--datadir={layout.mysql}", "--skip-networking", f"--socket={layout.mysql_socket}"]
    argv += [f"--pid-file={layout.run}/mariadbd.own.pid", "--innodb-buffer-pool-size=64M"]
    argv += ["--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"]
    argv += ["--innodb-doublewrite=0", "--innodb-fast-shutdown=2"]
    daemons.start(layout, "mariadbd", argv)
    daemons.wait(layout, "mariadbd", lambda: _connects(str(layout.mysql_socket)))


def start_slurmdbd(layout: Layout, address: str, port: int) -> None:
    """Start slurmdbd; its configuration has no word for MariaDB's socket, so that comes by the environment."""
    daemons.start(layout, "slurmdbd", ["slurmdbd", "-D"], {"MYSQL_UNIX_PORT": str(layout.mysql_socket)})
    daemons.wait(layout, "slurmdbd", lambda: _connects((address, port)))


def _connects(address: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probing:
        try:
            probing.connect(address)
        except OSError:
            return False
    return True
