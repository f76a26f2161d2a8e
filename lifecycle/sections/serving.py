"""Servers: the engines and where they run, the images they come from, and how one takes the place of another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from lifecycle.sections.section import Section


class Runtime(Section):
    """Where an engine runs: `command` is what starts it (argv; a container's exec prefix, or a venv's program)."""

    engine: Literal["vllm", "transformers"]
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    start_timeout_s: float = Field(default=3600, gt=0)


class Images(Section):
    """What `dayzero image build` builds, for runtimes whose command holds {image}: the folder of the plan's image."""

    kind: Literal["venv", "apptainer", "enroot"] = "venv"
    runtime: str = "vllm"  # the runtime that a new image is tried with
    smoke_model: Path | None = None  # folder of a tiny chat model; an image that can't make it answer is never used
    smoke_context: int = Field(default=512, gt=0)  # tokens
    gpus: int = Field(default=1, ge=0)  # of the build job, for that test; 0: the engine runs without
    source: str = "vllm/vllm-openai:{ref}"  # containers: where from; {ref} is nightly, v0.11.0, ...
    index: str = "https://wheels.vllm.ai/{ref}"  # venv: wheels of nightly or of a commit; releases come from PyPI
    packages: tuple[str, ...] = ("vllm", "transformers")  # venv: what is installed; the first one at {ref}
    requirements: Path | None = None  # venv: install exactly these (pinned, with hashes), instead of packages
    base: Path | None = None  # venv: an environment that is there already; the image holds what comes on top
    hours: float = Field(default=4, gt=0)  # time limit of the build job
    keep: int = Field(default=3, ge=1)  # `dayzero image gc` leaves so many


class Serving(Section):
    ladder: tuple[str, ...] = ("vllm", "transformers")  # names of runtimes, tried in this order
    context: int = Field(default=32768, gt=0)
    concurrency: int = Field(default=16, gt=0)
    dry_run: bool = False  # during the download, try the first engine with dummy weights on GPUs that are free
    address: str = ""  # how nodes are reached from the gateway; empty: the node's own name


class Swap(Section):
    """One deployment takes the place of another: a growing share of the requests, and back at once when it is worse."""

    steps: tuple[int, ...] = (5, 25, 50, 100)  # percent of the requests; ends with 100
    step_minutes: float = Field(default=10, gt=0)  # how long each step lasts
    keep_minutes: float = Field(default=60, ge=0)  # the elder stays warm so long afterwards, for a rollback at once
    worse_errors: float = Field(default=0.02, ge=0, le=1)  # worse: its share of failed requests is higher by more
    worse_ttft: float = Field(default=1.5, ge=1)  # worse: its median time to the first byte, in the elder's
    judged_requests: int = Field(default=20, ge=1)  # of each, before times are compared
    judged_failures: int = Field(default=3, ge=1)  # fewer failures than this prove nothing

    @field_validator("steps")
    @classmethod
    def _grow_to_all(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
            raise ValueError("the steps must grow from at least 1 up to 100")
        return steps


class Quantize(Section):
    """Where llm-compressor runs, which makes smaller copies of weights. Without a command only official ones serve."""

    command: tuple[str, ...] = ()  # what starts a Python that has llm-compressor (argv; a container's exec prefix, too)
    gpus: int = Field(default=1, ge=0)  # of the job; 0: on CPUs, with the partition and QOS of jobs without a GPU
    qos: str = ""  # of a job with GPUs; empty: the partition's own, so that nobody is preempted for it
    host_memory: int = Field(default=0, ge=0)  # bytes of a node's memory; 0: host_memory of its GPUs, all of them
    cpus: int = Field(default=8, gt=0)  # of the job
    samples: int = Field(default=256, gt=0)  # prompts of the Gauntlet's suites that awq and gptq look at, at most
    sample_tokens: int = Field(default=1024, gt=0)  # of each prompt, at most
    hours: float = Field(default=12, gt=0)  # time limit of the job
