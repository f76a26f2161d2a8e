"""What can break: a node dies, the controller hangs or stops."""

import signal

from lab.slurm import daemons, processes
from lab.slurm.daemons import MARK, NODE_MARK
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout
from lab.slurm.processes import Process


def node_processes(layout: Layout, name: str) -> list[Process]:
    """The node's slurmd, the steps it watches and everything its jobs started."""
    roots = processes.with_environment(f"{MARK}={layout.folder}", f"{NODE_MARK}={name}")
    return roots + processes.descendants(roots) + _strays(layout, name)


def job_processes(layout: Layout) -> list[Process]:
    """Everything that runs as part of a job on any node of the cluster, also what has left its step behind."""
    watched = processes.with_environment(f"{MARK}={layout.folder}")
    return watched + processes.descendants(watched) + _strays(layout)


def _strays(layout: Layout, name: str = "") -> list[Process]:
    return processes.with_environment(f"SLURM_CONF={layout.conf}", "SLURM_JOB_ID=", f"SLURMD_NODENAME={name}")


def cut_power(layout: Layout, name: str) -> None:
    """Kill a node's slurmd and all its jobs' processes at once, as a power cut would."""
    processes.kill(node_processes(layout, name))
    daemons.pid_file(layout, name).unlink(missing_ok=True)


def signal_controller(layout: Layout, number: signal.Signals) -> None:
    """Send a signal to slurmctld; SlurmLabError when it doesn't run."""
    controller = daemons.find(layout, "slurmctld")
    if controller is None:
        raise SlurmLabError("slurmctld does not run: start it with start_controller() first")
    controller.send(number)
