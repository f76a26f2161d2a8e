"""The rendered scripts as a real Slurm reads them: what was asked is what is booked."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from batch.recipes import Recipes
from batch.scheduler.slurm import SlurmScheduler
from lab.slurm.cluster import Cluster as Lab
from lifecycle.sections.cluster import Cluster, Gpu
from lifecycle.sections.site import Site
from lifecycle.settings import Settings
from tests.batch.recipe_lab import PLAN, RUNTIMES, deployment, server

pytestmark = pytest.mark.slurm


def test_slurm_books_what_the_settings_say(slurm_cluster: Lab, tmp_path: Path) -> None:
    """CPUs, memory, whole nodes, the comment and the site's own options arrive; the light jobs are accepted, too."""
    toy = Gpu(memory=10**9, per_node=1, gres="toy", cpus=3, host_memory=2**31)
    cluster = Cluster(
        account="serving",
        gpus={"toy": toy, "whole": toy.model_copy(update={"exclusive": True})},
        extra=("--begin=now+1hour",),
    )
    settings = Settings(site=Site(shared=tmp_path, state=tmp_path / "state"), cluster=cluster, runtimes=RUNTIMES)
    recipes, scheduler = Recipes(settings), SlurmScheduler(cluster, tmp_path / "scheduler", time.time)
    plan = replace(PLAN, account="serving", gpu_type="toy", gpus_per_node=1)
    for script in (recipes.cache(deployment(plan), 1), recipes.exam(deployment(plan), 2, 1, range(4))):
        assert scheduler.forecast(script).starts_at, scheduler.forecast(script).note
    for n, kind in enumerate(("toy", "whole"), start=1):
        handle = scheduler.submit(recipes.serve(deployment(replace(plan, gpu_type=kind)), server(n)))
        try:
            booked = dict(re.findall(r"(\S+?)=(\S+)", slurm_cluster.ask("scontrol", "-o", "show", "job", handle)))
        finally:
            scheduler.cancel(handle)
        assert booked["Comment"] == "dayzero/toy-llama-1" and booked["Reason"] == "BeginTime"
        if kind == "toy":
            assert (booked["CPUs/Task"], booked["MinMemoryNode"], booked["OverSubscribe"]) == ("3", "2G", "OK")
        else:
            assert (booked["CPUs/Task"], booked["MinMemoryNode"], booked["OverSubscribe"]) == ("1", "0", "NO")
