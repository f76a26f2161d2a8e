"""Where everything of one cluster lies: all of it under one folder."""

from dataclasses import dataclass
from pathlib import Path

from lab.slurm.errors import SlurmLabError

LONGEST_FOLDER = 64
"""Characters. A unix socket's path may have 107, and slurmstepd adds `/spool/toy-01/toy-01_<job>.<step>` to ours."""


@dataclass(frozen=True)
class Layout:
    """The paths of one cluster; `folder` is absolute."""

    folder: Path

    @classmethod
    def of(cls, folder: Path) -> "Layout":
        """The layout of a folder; SlurmLabError when its path is too long for the sockets in it."""
        absolute = folder.resolve()
        if len(str(absolute)) > LONGEST_FOLDER:
            raise SlurmLabError(
                f"{absolute} is too long for unix sockets: choose a folder of at most {LONGEST_FOLDER} characters"
            )
        return cls(absolute)

    @property
    def conf(self) -> Path:
        """slurm.conf; the value of SLURM_CONF."""
        return self.folder / "etc" / "slurm.conf"

    @property
    def shape(self) -> Path:
        """The shape the cluster was made with, as JSON."""
        return self.folder / "cluster.json"

    @property
    def accounting_stamp(self) -> Path:
        """Holds the shape that accounting was last set up for."""
        return self.mysql / "accounting.json"

    @property
    def mysql(self) -> Path:
        """MariaDB's data."""
        return self.folder / "mysql"

    @property
    def mysql_socket(self) -> Path:
        """Where MariaDB listens; it has no port."""
        return self.folder / "run" / "mysql.sock"

    @property
    def munge_key(self) -> Path:
        """This cluster's own key."""
        return self.folder / "etc" / "munge.key"

    @property
    def munge_socket(self) -> Path:
        """Where munged listens."""
        return self.folder / "run" / "munge.sock"

    @property
    def run(self) -> Path:
        """Sockets and pid files; emptied when the cluster is down."""
        return self.folder / "run"

    @property
    def ready(self) -> Path:
        """Exists from the end of a finished `up` until `down`."""
        return self.run / "ready"

    @property
    def logs(self) -> Path:
        """One log for each daemon, and one `.out` with what it said before it had a log."""
        return self.folder / "logs"

    @property
    def state(self) -> Path:
        """slurmctld's memory: jobs and nodes."""
        return self.folder / "state"

    @property
    def spool(self) -> Path:
        """slurmd's folders, one for each node."""
        return self.folder / "spool"

    @property
    def devices(self) -> Path:
        """The fake GPUs' device files."""
        return self.folder / "dev"

    @property
    def research(self) -> Path:
        """Research jobs' scripts, logs and checkpoints."""
        return self.folder / "research"

    def make(self) -> None:
        """Create the folders; users other than root may pass through those they need."""
        for path in (self.folder, self.conf.parent, self.run, self.logs, self.state, self.spool, self.devices):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        self.mysql.mkdir(mode=0o700, exist_ok=True)
