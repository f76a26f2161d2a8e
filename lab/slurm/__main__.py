"""python -m lab.slurm up|down|status|env --dir FOLDER"""

import argparse
import sys
import time
from pathlib import Path

from lab.slurm import daemons
from lab.slurm.cluster import Cluster
from lab.slurm.errors import SlurmLabError

DEFAULT_FOLDER = Path(".lab/slurm")


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one sentence on stderr when not."""
    parser = argparse.ArgumentParser(prog="python -m lab.slurm", description="A real Slurm cluster in a folder.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "up": "start the cluster, or do nothing when it runs",
        "down": "stop it; jobs and accounting stay for the next up",
        "status": "what runs",
        "env": "print the line that turns sbatch, squeue and the others to it",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="the cluster's folder (%(default)s)")
        if name == "up":
            command.add_argument("--nodes", type=int, default=4, help="(%(default)s)")
            command.add_argument("--gpus-per-node", type=int, default=1, help="(%(default)s)")
            command.add_argument("--gpu-type", default="toy", help="(%(default)s)")
            command.add_argument("--grace-time", type=int, default=0, metavar="SECONDS", help="of research (0)")
    options = parser.parse_args(argv)
    try:
        return COMMANDS[options.command](options)
    except SlurmLabError as problem:
        print(f"lab.slurm: {problem}", file=sys.stderr)
        return 1


def up(options: argparse.Namespace) -> int:
    """Start the cluster and say how to use it."""
    began = time.monotonic()

    def report(step: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {step}", flush=True)

    cluster = Cluster(
        options.dir,
        nodes=options.nodes,
        gpus_per_node=options.gpus_per_node,
        gpu_type=options.gpu_type,
        grace_time_s=options.grace_time,
        report=report,
    )
    if cluster.running:
        report("it runs already")
    cluster.up()
    return env(options)


def down(options: argparse.Namespace) -> int:
    """Stop the cluster."""
    began = time.monotonic()
    Cluster(options.dir).down()
    print(f"{time.monotonic() - began:5.1f} s  nothing runs any more in {options.dir}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the daemons, the nodes and the queue; 1 when it is down."""
    cluster = Cluster.open(options.dir)
    for name in daemons.names(cluster.layout):
        process = daemons.find(cluster.layout, name)
        print(f"{name:10} {'pid ' + str(process.pid) if process else 'dead'}")
    if not cluster.running:
        print(f"down: python -m lab.slurm up --dir {options.dir}")
        return 1
    print(cluster.ask("sinfo", "-N", "-p", "serving", "-o", "%10N %10T %10G"), end="")
    print(cluster.ask("squeue", "-o", "%8i %20j %8u %10q %12T %20R"), end="")
    return 0


def env(options: argparse.Namespace) -> int:
    """Print the line for a shell."""
    for name, value in Cluster.open(options.dir).env().items():
        print(f"export {name}={value}")
    return 0


COMMANDS = {"up": up, "down": down, "status": status, "env": env}

if __name__ == "__main__":
    sys.exit(main())
