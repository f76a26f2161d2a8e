"""Run one of Slurm's client commands against a cluster."""

import os
import subprocess

from lab.slurm import probe
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout


def client_environment(layout: Layout) -> dict[str, str]:
    """This process's environment, turned to the cluster; leaves out other SLURM_* and SBATCH_* settings."""
    foreign = ("SLURM_", "SBATCH_", "SRUN_", "SACCT_", "SQUEUE_", "SINFO_")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)} | {"SLURM_CONF": str(layout.conf)}


def ask(layout: Layout, *argv: str, timeout_s: float = 60, user: tuple[int, int] | None = None) -> str:
    """The command's stdout; SlurmLabError with its own words when it fails. `user`: (uid, gid) to run it as."""
    identity = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
    try:
        done = subprocess.run(
            [probe.program(argv[0]) or argv[0], *argv[1:]],
            env=client_environment(layout),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            **identity,
        )
    except subprocess.TimeoutExpired as late:
        raise SlurmLabError(f"{argv[0]} did not answer within {timeout_s:g} s: is the cluster up?") from late
    if done.returncode:
        raise SlurmLabError(f"{' '.join(argv[:3])} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
