"""Start everything in order, stop everything in the other; each daemon alone, too."""

from collections.abc import Callable
from datetime import datetime

from lab.slurm import accounting, daemons, database, faults, files, prefab, processes
from lab.slurm.commands import ask
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout
from lab.slurm.ports import free_ports, listen
from lab.slurm.shape import Shape

BASE = ("munged", "mariadbd", "slurmdbd")
CONTROLLER = "slurmctld"
READY = ("idle", "mixed", "allocated", "completing")
SWEEPS = 20
"""How often job processes are looked for: one that forks while we look may be missed the first time."""


def start_everything(layout: Layout, shape: Shape, report: Callable[[str], None]) -> None:
    """From nothing to all nodes ready; `report` gets each step in words."""
    began = datetime.now()
    ports = free_ports(2 + shape.nodes)
    files.write(layout, shape, ports)
    start_munged(layout)
    report("munged answers")
    fresh = not prefab.restore(layout, shape) and database.make(layout)
    report("there is an accounting database" if not fresh else "the accounting database is made")
    start_accounting(layout, ports[1])
    report("MariaDB and slurmdbd answer")
    accounting.set_up(layout, shape)
    report("accounts and QOS are set up")
    if fresh:
        processes.stop(filter(None, [daemons.find(layout, "slurmdbd")]), patience_s=10)
        processes.stop(filter(None, [daemons.find(layout, "mariadbd")]), patience_s=10)
        prefab.keep(layout, shape)
        start_accounting(layout, ports[1])
        report("a copy of the accounting database is kept for the next cluster")
    start_controller(layout)
    for name in shape.node_names:
        start_node(layout, name)
    await_controller(layout)
    report("slurmctld answers")
    requeue_lost(layout, began)
    daemons.wait(layout, CONTROLLER, lambda: nodes_ready(layout, shape))
    layout.ready.touch()
    report(f"{shape.nodes} nodes are ready")


def start_munged(layout: Layout) -> None:
    """Start munged with the cluster's own key, and wait for its socket."""
    argv = ["munged", "--foreground", "--force", "--num-threads=4", f"--socket={layout.munge_socket}"]
    argv += [f"--key-file={layout.munge_key}", f"--pid-file={layout.run}/munged.own.pid"]
    argv += [f"--log-file={layout.logs}/munged.log", f"--seed-file={layout.state}/munged.seed"]
    daemons.start(layout, "munged", argv)
    daemons.wait(layout, "munged", layout.munge_socket.is_socket)


def start_accounting(layout: Layout, port: int) -> None:
    """Start MariaDB and slurmdbd, and wait until both answer."""
    database.start_mariadb(layout)
    database.start_slurmdbd(layout, listen().address, port)


def start_controller(layout: Layout) -> None:
    """Start slurmctld; it answers a moment later."""
    daemons.start(layout, CONTROLLER, ["slurmctld", "-D", "-f", str(layout.conf)])


def await_controller(layout: Layout) -> None:
    """Wait until slurmctld answers."""

    def answers() -> bool:
        try:
            return "UP" in ask(layout, "scontrol", "ping", timeout_s=10)
        except SlurmLabError:
            return False

    daemons.wait(layout, CONTROLLER, answers)


def start_node(layout: Layout, name: str) -> None:
    """Start a node's slurmd; it registers with slurmctld a moment later."""
    argv = ["slurmd", "-D", "-N", name, "-f", str(layout.conf)]
    daemons.start(layout, name, argv, {daemons.NODE_MARK: name})


def requeue_lost(layout: Layout, began: datetime) -> None:
    """Requeue what ran before `began` (local time): `down` killed it, and Slurm would take minutes to notice."""
    for line in ask(layout, "squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i %S").splitlines():
        job, started = line.split()
        if datetime.fromisoformat(started) < began:
            try:
                ask(layout, "scontrol", "requeue", job)
            except SlurmLabError:
                ask(layout, "scancel", job)  # a job that may not be requeued, or an allocation without a script


def nodes_ready(layout: Layout, shape: Shape) -> bool:
    """True when every node can run jobs; SlurmLabError when a slurmd has died."""
    for name in shape.node_names:
        if daemons.find(layout, name) is None:
            raise daemons.died(layout, name)
    states = ask(layout, "sinfo", "-h", "-N", "-p", "serving", "-o", "%T").split()
    return sum(state in READY for state in states) == shape.nodes


def stop_everything(layout: Layout) -> None:
    """Nodes and controller first, so that nobody believes that the jobs ended; then the jobs; accounting last.

    The jobs are requeued at the next start, as after a power cut.
    """
    known = {name: process for name in daemons.names(layout) if (process := daemons.find(layout, name))}
    base = {process for name, process in known.items() if name in BASE}
    controller = {process for name, process in known.items() if name == CONTROLLER}
    processes.kill(set(known.values()) - base - controller)
    processes.stop(controller, patience_s=1.5)
    for _ in range(SWEEPS):
        if not (left := set(faults.job_processes(layout)) - base):
            break
        processes.kill(left)
    processes.stop(base, patience_s=1.5)
    for path in layout.run.iterdir():
        path.unlink()
    for path in layout.spool.glob("*/*"):
        if path.is_socket():
            path.unlink()
