"""The cluster: its GPUs, how jobs are submitted, and the rails that no plan crosses."""

import re
from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from lifecycle import hours
from lifecycle.sections.section import Section


class Gpu(Section):
    """One GPU type of the cluster. `memory` and `overhead` (engine, CUDA context; per GPU) in bytes."""

    memory: int = Field(gt=0)
    overhead: int = Field(default=4 * 2**30, ge=0)
    per_node: int = Field(default=8, gt=0)
    gres: str = ""  # name in --gres=gpu:<gres>:n; empty: --gres=gpu:n
    cpus: int = Field(default=8, ge=0)  # CPUs per GPU of a server; 0: not asked for
    host_memory: int = Field(default=32 * 2**30, ge=0)  # bytes of the node's own memory per GPU; 0: not asked for
    exclusive: bool = False  # a server that uses every GPU of its nodes asks for the nodes whole


class Guards(Section):
    """Rails that no plan crosses."""

    max_nodes: int = Field(default=8, gt=0)
    walltime_hours: float = Field(default=24, gt=0)
    warn_minutes: float = Field(default=0, ge=0)  # researchers are told so long before a job that preempts is submitted
    quiet_hours: tuple[str, ...] = ()  # nobody is preempted then: "22:00-06:00", "Mon-Fri 08:00-18:00"
    time_zone: str = ""  # of the hours, such as "Europe/Berlin"; empty: the service host's
    preemptions_a_day: int | None = Field(default=None, ge=0)  # jobs of others within 24 hours; left out: no limit
    never: tuple[str, ...] = ()  # partitions that are never submitted to, and whose jobs are never preempted

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, windows: tuple[str, ...]) -> tuple[str, ...]:
        for window in windows:
            hours.read(window)
        return windows

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            return name if not name or ZoneInfo(name) else ""
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone, such as Europe/Berlin") from None


OWN_OPTIONS = frozenset(
    "job-name partition qos account nodes ntasks ntasks-per-node cpus-per-task mem gres time requeue no-requeue array "
    "open-mode output error comment wckey signal wrap parsable test-only hold wait dependency export chdir gpus "
    "gpus-per-node mem-per-cpu mem-per-gpu".split()
)
"""What a site may not add to its scripts: each has a key of its own, or the service would lose its job."""


class Cluster(Section):
    kind: Literal["slurm", "local"] = "slurm"
    partition: str = "serving"
    account: str = ""
    qos: str = "serving"
    light_qos: str = ""  # for jobs without a GPU (caching, the Gauntlet); empty: the partition's own
    light_partition: str = ""  # empty: as `partition`
    gpus: Mapping[str, Gpu] = Field(default_factory=dict)
    tensor_parallel_across_nodes: bool = False  # true where nodes are joined by NVLink or the like
    guards: Guards = Guards()
    command_timeout_s: float = Field(default=30, gt=0)
    local_slots: int = Field(default=4, gt=0)  # kind = "local": how many nodes we pretend to have
    reader: Literal["auto", "text", "json", "pyslurm"] = "auto"  # of the queue; auto: text, JSON where that is refused
    pyslurm_python: str = ""  # reader = "pyslurm": the Python that has it, such as "/usr/bin/python3"; empty: our own
    wckey: str = ""  # --wckey of every job, where the site books by it
    extra: tuple[str, ...] = ()  # more sbatch options for servers, such as "--constraint=nvlink"
    light_extra: tuple[str, ...] = ()  # the same for jobs without a GPU

    @field_validator("extra", "light_extra")
    @classmethod
    def _are_options(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        """One long option each, none that the templates or the settings say themselves."""
        for option in options:
            name = re.match(r"--([a-z][a-z0-9-]*)(=[^\n\r]+)?\Z", option)
            if name is None or not option.isprintable():
                raise ValueError(f"{option!r} is not one long sbatch option, such as --constraint=nvlink")
            if any(own.startswith(name[1]) for own in OWN_OPTIONS):  # sbatch takes --job-n for --job-name
                raise ValueError(f"--{name[1]} is written by dayzero itself")
        return options
