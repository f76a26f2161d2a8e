"""A real Slurm cluster in a folder: slurmctld, slurmdbd, MariaDB, munged and several slurmds, all on this machine."""

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.slurm import bringup, daemons, faults, probe, processes
from lab.slurm.commands import ask
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout
from lab.slurm.shape import Shape


def _silent(step: str) -> None:
    """Report nothing."""


class Cluster:
    """A cluster that lives under `folder` and nowhere else; several may run side by side.

    `more` are the other fields of `Shape`. Attach to an existing cluster, whatever its shape, with `Cluster.open`.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 4,
        gpus_per_node: int = 1,
        gpu_type: str = "toy",
        grace_time_s: int = 0,
        report: Callable[[str], None] = _silent,
        **more: object,
    ) -> None:
        self.layout = Layout.of(Path(folder))
        self.shape = Shape(
            nodes=nodes, gpus_per_node=gpus_per_node, gpu_type=gpu_type, grace_time_s=grace_time_s, **more
        )
        self._report = report

    @classmethod
    def open(cls, folder: Path, report: Callable[[str], None] = _silent) -> "Cluster":
        """The cluster that was made in `folder` before; SlurmLabError when there is none."""
        layout = Layout.of(Path(folder))
        if not layout.shape.exists():
            raise SlurmLabError(f"there is no cluster in {folder}: make one with python -m lab.slurm up --dir {folder}")
        cluster = cls(folder, report=report)
        cluster.shape = Shape.read(layout.shape)
        return cluster

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self.layout.folder

    @property
    def node_names(self) -> list[str]:
        """toy-01, toy-02, ..."""
        return self.shape.node_names

    def env(self) -> dict[str, str]:
        """What to merge into a process's environment so that sbatch, squeue and the others talk to this cluster."""
        return {"SLURM_CONF": str(self.layout.conf)}

    @property
    def running(self) -> bool:
        """True when the last `up` was finished and the controller and what it stands on live (nodes may be dead)."""
        return self.layout.ready.exists() and all(
            daemons.find(self.layout, name) for name in (*bringup.BASE, bringup.CONTROLLER)
        )

    def ask(self, *argv: str, timeout_s: float = 60) -> str:
        """Run a client command, such as ask("squeue", "-h"); its stdout, or SlurmLabError with its words."""
        return ask(self.layout, *argv, timeout_s=timeout_s)

    def up(self) -> None:
        """Start everything and return when all nodes are ready; at once when it runs already."""
        if reason := probe.available():
            raise SlurmLabError(reason)
        self.layout.make()
        with self._alone():
            if self.running:
                self.shape = Shape.read(self.layout.shape)
                return
            bringup.stop_everything(self.layout)
            try:
                bringup.start_everything(self.layout, self.shape, self._report)
            except BaseException:
                bringup.stop_everything(self.layout)
                raise

    def down(self) -> None:
        """Stop every process of the cluster and its jobs, and remove its sockets; jobs, logs and accounting stay.

        Works after a half-finished `up` and after a `kill -9` of anything; harmless when nothing runs.
        """
        if self.layout.run.exists():
            with self._alone():
                bringup.stop_everything(self.layout)

    def kill_node(self, name: str) -> None:
        """Kill a node's slurmd and its jobs at once; Slurm notices after `slurmd_timeout_s`."""
        self._known(name)
        faults.cut_power(self.layout, name)

    def restart_node(self, name: str) -> None:
        """Start a killed node's slurmd again; Slurm takes it back when it registers."""
        self._known(name)
        if daemons.find(self.layout, name) is None:
            bringup.start_node(self.layout, name)

    def pause_controller(self) -> None:
        """Let slurmctld hang (SIGSTOP): clients wait and time out."""
        faults.signal_controller(self.layout, signal.SIGSTOP)

    def resume_controller(self) -> None:
        """Let slurmctld go on."""
        faults.signal_controller(self.layout, signal.SIGCONT)

    def stop_controller(self) -> None:
        """Stop slurmctld: clients are refused, jobs run on."""
        if controller := daemons.find(self.layout, bringup.CONTROLLER):
            processes.stop([controller], patience_s=10)
        daemons.pid_file(self.layout, bringup.CONTROLLER).unlink(missing_ok=True)

    def start_controller(self) -> None:
        """Start slurmctld again and return when it answers."""
        if daemons.find(self.layout, bringup.CONTROLLER) is None:
            bringup.start_controller(self.layout)
        bringup.await_controller(self.layout)

    def _known(self, name: str) -> None:
        if name not in self.shape.node_names:
            raise SlurmLabError(f"there is no node {name}: the nodes are {', '.join(self.shape.node_names)}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one up or down at a time in a folder."""
        with (self.layout.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
