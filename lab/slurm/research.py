"""Researchers' jobs: the template they are given, around a training that saves when told to stop, and resumes."""

import os
import pwd
import shlex
from pathlib import Path

from lab.slurm import probe
from lab.slurm.cluster import Cluster
from lab.slurm.commands import ask
from lab.slurm.errors import SlurmLabError

TRAINING = Path(__file__).with_name("training.py")
"""It runs on the standard library of the distribution's Python."""

TEMPLATE = Path(__file__).resolve().parents[2] / "sbatch_templates" / "research.sbatch"
"""What researchers copy: it runs its arguments under srun."""


def submit(
    cluster: Cluster,
    seconds: float = 3600,
    name: str = "pretrain",
    user: str | None = None,
    gpus: int = 1,
    partition: str = "research",
) -> int:
    """Submit the template with a training as a one-node job of QOS research, as `user`; its job id.

    `user` is a system account and one of the cluster's researchers (the first of them by default), so that the job
    belongs to somebody else than the service. The job trains for `seconds` in all, over its restarts.
    Log: research/<user>/<name>-<job>.log, checkpoint: research/<user>/<name>-<job>.checkpoint.json.
    """
    user = user or cluster.shape.researchers[0]
    account = _account(user)
    home = cluster.layout.research / user
    home.mkdir(parents=True, exist_ok=True)
    cluster.layout.research.chmod(0o755)
    os.chown(home, account.pw_uid, account.pw_gid)
    _reachable(home, account)
    answer = ask(
        cluster.layout,
        "sbatch",
        "--parsable",
        f"--job-name={name}",
        "--account=research",
        "--qos=research",
        f"--partition={partition}",
        "--nodes=1",
        "--cpus-per-task=2",
        f"--gres=gpu:{cluster.shape.gpu_type}:{gpus}",
        f"--chdir={home}",
        f"--output={home}/%x-%j.log",
        f"--export=PATH={probe.SEARCH_PATH},TRAIN_SECONDS={seconds:g}",
        str(_copy(TEMPLATE, home)),
        str(_copy(TRAINING, home)),
        user=(account.pw_uid, account.pw_gid),
    )
    return int(answer.strip().split(";")[0])


def hurry(cluster: Cluster, job: int) -> None:
    """Let a requeued job be scheduled now: Slurm makes it wait 120 s by default. Does nothing to one that runs.

    Said while the job's last node is still being cleared, it is overridden when that is done: say it again.
    """
    try:
        ask(cluster.layout, "scontrol", "update", f"JobId={job}", "StartTime=now")
    except SlurmLabError as refused:
        if "no longer pending" not in str(refused):
            raise


def log(cluster: Cluster, job: int) -> str:
    """What the job has printed so far, over all its runs; empty before it started."""
    return "".join(path.read_text() for path in cluster.layout.research.glob(f"*/*-{job}.log"))


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise SlurmLabError(f"this machine has no user {user}: take one of those in /etc/passwd") from None


def _copy(original: Path, home: Path) -> Path:
    """A copy in the researcher's folder: the user may not be able to read the checkout."""
    script = home / original.name
    if not script.exists() or script.read_bytes() != original.read_bytes():
        script.write_bytes(original.read_bytes())
        script.chmod(0o755)
    return script


def _reachable(home: Path, account: pwd.struct_passwd) -> None:
    """SlurmLabError when the user can't enter the folder: the job would die without a word."""
    for folder in (home, *home.parents):
        seen = folder.stat()
        mine = seen.st_uid == account.pw_uid
        bit = 0o100 if mine else 0o010 if seen.st_gid == account.pw_gid else 0o001
        if not seen.st_mode & bit:
            remedy = f"put the cluster elsewhere, or run chmod o+x {shlex.quote(str(folder))}"
            raise SlurmLabError(f"{account.pw_name} can't enter {folder}: {remedy}")
