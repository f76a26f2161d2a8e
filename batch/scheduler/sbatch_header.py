"""The `#SBATCH` lines of a script, as far as LocalScheduler obeys them; the others are Slurm's business. Pure."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from batch.scheduler.slurm_text import gpus_of, tasks_of
from lifecycle.errors import SubmissionRefused

SHORT = {"J": "job-name", "N": "nodes", "a": "array", "o": "output", "e": "error", "t": "time", "D": "chdir"}
SHORT |= {"p": "partition", "q": "qos", "A": "account", "n": "ntasks", "c": "cpus-per-task", "G": "gpus"}

_GPU_OPTIONS = ("gpus", "gpus-per-node", "gpus-per-task")


@dataclass(frozen=True, kw_only=True)
class Header:
    """`tasks` are an array's indices (None: no array), `at_once` its throttle; times in seconds."""

    name: str
    nodes: int = 1
    tasks: tuple[int, ...] | None = None
    at_once: int | None = None
    time_s: float | None = None
    output: str = ""
    error: str = ""
    chdir: str = ""
    export: str = "ALL"
    append: bool = False
    gpus: int = 0
    partition: str = ""
    qos: str = ""
    account: str = ""


def read_header(text: str, file_name: str) -> Header:
    """The header of a script; SubmissionRefused, in sbatch's words, when sbatch would refuse it too."""
    if not text.startswith("#!"):
        raise SubmissionRefused(
            "This does not look like a batch script: the first line must start with #! and an interpreter's path.",
            "Begin the script with #!/bin/bash.",
        )
    given = _options(text)
    tasks = at_once = None
    if "array" in given:
        tasks = tasks_of(given["array"])
        throttle = given["array"].partition("%")[2]
        at_once = int(throttle) if throttle.isdigit() and int(throttle) else None
        if not tasks:
            raise _refused(f"Invalid job array specification: {given['array']}", "Write it like --array=0-7%2.")
    return Header(
        name=given.get("job-name", file_name),
        nodes=_count(given.get("nodes", "1")),
        tasks=tasks,
        at_once=at_once,
        time_s=seconds_of(given["time"]) if "time" in given else None,
        output=given.get("output", ""),
        error=given.get("error", ""),
        chdir=given.get("chdir", ""),
        export=given.get("export", "ALL"),
        append=given.get("open-mode", "").startswith("a"),
        gpus=_gpus(given),
        partition=given.get("partition", ""),
        qos=given.get("qos", ""),
        account=given.get("account", ""),
    )


def _options(text: str) -> dict[str, str]:
    """Long option → value ('' for a flag), the later winning. As sbatch does, stop at the first command."""
    given: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
            while words:
                words = _take(words, given)
        elif line.strip() and not line.startswith("#"):
            break
    return given


def _take(words: list[str], given: dict[str, str]) -> list[str]:
    word, rest = words[0], words[1:]
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        name = name[2:]
    elif word.startswith("-") and word[1:2] in SHORT:
        name, value = SHORT[word[1]], word[2:].removeprefix("=")
        equals = value
    else:
        return rest
    if not equals and rest and not rest[0].startswith("-"):
        value, rest = rest[0], rest[1:]
    given[name] = value
    return rest


def _count(text: str) -> int:
    first = text.partition("-")[0]
    if not first.isdigit() or not int(first):
        raise _refused(f"Node count specification invalid: {text}", "Ask for one node or more.")
    return int(first)


def _gpus(given: Mapping[str, str]) -> int:
    """GPUs that the script asks for, of one node or task; only whether there are any counts here."""
    named = [given[option].rpartition(":")[2] for option in _GPU_OPTIONS if option in given]
    return gpus_of(f"gres:{given['gres']}" if "gres" in given else "") + sum(int(n) for n in named if n.isdigit())


def seconds_of(text: str) -> float | None:
    """'30' and '30:00' are half an hour, '1-12' a day and a half, UNLIMITED is None. SubmissionRefused otherwise."""
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return None
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        raise _refused(f"Invalid time limit specification: {text}", "Write it like --time=1-12:00:00 or --time=90.")
    days, dash, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, minutes, seconds = 0, *[*parts, 0][:2]
    return int(days or 0) * 86400.0 + hours * 3600 + minutes * 60 + seconds


def _refused(sentence: str, next_step: str) -> SubmissionRefused:
    return SubmissionRefused(f"The script can't be run: {sentence}.", next_step)
