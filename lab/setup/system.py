"""The system's packages that the lab runs: a real Slurm with accounting, its database, and tools of the tests."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.setup.packages import StepFailed, run


@dataclass(frozen=True)
class Need:
    """One Debian package, a program by which it is known to be there, and what happens without it."""

    package: str
    program: str
    without: str


_NO_CLUSTER = "no Slurm cluster in the lab: jobs run as child processes, and the Slurm tests are skipped"
NEEDS = (
    Need("slurmctld", "slurmctld", _NO_CLUSTER),
    Need("slurmd", "slurmd", _NO_CLUSTER),
    Need("slurm-client", "squeue", _NO_CLUSTER),
    Need("munge", "munged", _NO_CLUSTER),
    Need("slurmdbd", "slurmdbd", "a cluster without accounting: no preemption by QOS"),
    Need("slurm-wlm-mysql-plugin", "", "a cluster without accounting: no preemption by QOS"),
    Need("mariadb-server", "mariadbd", "a cluster without accounting: no preemption by QOS"),
    Need("postgresql", "pg_ctl", "the ledger that several gateways share is not tried"),
    Need("shellcheck", "shellcheck", "the job scripts are not linted"),
    Need("bubblewrap", "bwrap", "the container path of a job script is not run"),
    Need("chromium", "chromium", "the Slack page is not tried in a browser"),
)
_PLUGIN = "accounting_storage_mysql.so"
_NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def install_system(_root: Path) -> str:
    """Install what is missing, where that is possible; otherwise say what falls back to what. Never fails."""
    missing = [need for need in NEEDS if not _is_there(need)]
    if not missing:
        return "already there"
    if shutil.which("apt-get") is None:
        return _falls_back(missing, "there is no apt-get here")
    if os.geteuid() != 0:
        names = " ".join(need.package for need in missing)
        return _falls_back(missing, f"only root may install packages; as root: apt-get install {names}")
    try:
        with _services_stay_off():
            _apt(missing)
    except (StepFailed, OSError) as failure:
        return _falls_back([need for need in missing if not _is_there(need)], str(failure))
    return f"installed {' '.join(need.package for need in missing)}"


def _is_there(need: Need) -> bool:
    if need.program:
        # Debian keeps Postgres' own programs in a folder of their version
        versions = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin", *versions))
        return shutil.which(need.program, path=path) is not None
    places = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
    return any(next(Path(place).glob(f"{depth}slurm*/{_PLUGIN}"), None) for place in places for depth in ("", "*/"))


def _apt(missing: list[Need]) -> None:
    names = [need.package for need in missing]
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    try:
        run([*environment, *install], "installing system packages")
    except StepFailed:
        # The lists of packages may be old or, in a fresh container, not there at all.
        run(["apt-get", "update", "-q"], "reading the lists of packages")
        run([*environment, *install], "installing system packages")


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian starts each service it installs unless policy-rc.d says 101; the lab starts its own, elsewhere."""
    if _NO_SERVICES.exists():
        yield
        return
    _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
    _NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        _NO_SERVICES.unlink()


def _falls_back(missing: list[Need], why: str) -> str:
    lines = [f"not everything is there: {why}"]
    for without in dict.fromkeys(need.without for need in missing):
        names = ", ".join(need.package for need in missing if need.without == without)
        lines.append(f"{'':17}without {names}: {without}")
    return "\n".join(lines)
