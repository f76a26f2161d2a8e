"""The Scheduler port, twice: Slurm, and child processes where Slurm can't be had."""

import time
from pathlib import Path

from lifecycle.ports import Clock, Scheduler
from lifecycle.settings import Settings


def choose(settings: Settings, folder: Path | None = None, clock: Clock = time.time) -> Scheduler:
    """The scheduler that `settings.cluster.kind` names; its own files lie in `folder` (else under `site.state`)."""
    own = folder or settings.site.state / "scheduler" / settings.cluster.kind
    if settings.cluster.kind == "local":
        from batch.scheduler.local import LocalScheduler

        return LocalScheduler(settings.cluster, own, clock)
    from batch.scheduler.slurm import SlurmScheduler

    return SlurmScheduler(settings.cluster, own, clock)
