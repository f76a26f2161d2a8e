"""Can a real Slurm run on this machine? Ask before you try, and fall back when it can't."""

import os
import shutil
import subprocess
from pathlib import Path

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian keeps the daemons in /usr/sbin, which an ordinary user's PATH lacks."""

PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}
"""Program → the Debian package that carries it."""

MYSQL_PLUGINS = ("accounting_storage_mysql.so",)
PLUGIN_FOLDERS = ("/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm", "/usr/lib/slurm-wlm")


def program(name: str) -> str | None:
    """The absolute path of a distribution's program, or None."""
    return shutil.which(name, path=SEARCH_PATH)


def missing_packages() -> list[str]:
    """The packages to install before a cluster can run, sorted; empty when all are there."""
    missing = {package for name, package in PACKAGES.items() if program(name) is None}
    if not any(Path(folder, so).exists() for folder in PLUGIN_FOLDERS for so in MYSQL_PLUGINS):
        missing.add("slurm-wlm-mysql-plugin")
    return sorted(missing)


def available() -> str | None:
    """None when a cluster can run here; else one sentence that says why not and what to do."""
    if missing := missing_packages():
        return f"Slurm's packages are missing: apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0:
        return "a toy Slurm cluster needs root, as it runs jobs as several users: use root, in a container perhaps"
    return None


def version() -> tuple[int, int]:
    """The installed Slurm's release, such as (22, 5) or (24, 11)."""
    words = subprocess.run([program("slurmctld") or "slurmctld", "-V"], capture_output=True, text=True, check=True)
    major, minor = words.stdout.split()[-1].split(".")[:2]
    return int(major), int(minor)
