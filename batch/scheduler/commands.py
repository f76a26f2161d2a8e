"""Run one of Slurm's commands: an argv list, a time limit, an environment that no habit of the user can bend."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lifecycle.errors import SchedulerSilent
from lifecycle.settings import SECRETS

BENDING = ("SQUEUE_", "SACCT_", "SCONTROL_", "SBATCH_", "SLURM_CLUSTERS")
"""Variables that change what the commands print or ask; a person's shell may set them."""

FOR_MACHINES = {
    "SLURM_TIME_FORMAT": "%s",  # epoch seconds: local times are ambiguous once a year
    "SLURM_BITSTR_LEN": "0",  # else an array's task expression is cut at 64 characters
    "LC_ALL": "C.UTF-8",
}

SERVICE_ONLY = tuple(sorted(SECRETS.keys() - {"HF_TOKEN"}))
"""The secrets that a job has no use for; it may need the Hub's token to download."""

_PREFIXES = re.compile(
    r"^((sbatch|squeue|sacct|scancel|scontrol|slurm_\w+( error)?|error|fatal|allocation failure|"
    r"Batch job submission failed): *)+"
)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Run = Callable[[list[str], float], Answer]
"""(argv, seconds) → Answer, whatever the exit status. SchedulerSilent when it takes longer; CommandMissing."""


class CommandMissing(SchedulerSilent):
    """The command isn't installed on this host."""


def run(argv: list[str], timeout_s: float) -> Answer:
    """Run `argv`, reading both streams to their end."""
    try:
        done = subprocess.run(
            argv, env=reading_environment(os.environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise SchedulerSilent(f"{argv[0]} gave no answer within {timeout_s:g} s.", "Is slurmctld overloaded?") from None
    except FileNotFoundError:
        raise CommandMissing(
            f"There is no {argv[0]} on this host's PATH.",
            "Install Slurm's client commands, or set cluster.kind = 'local'.",
        ) from None
    except OSError as error:
        raise SchedulerSilent(f"{argv[0]} could not be run: {error}.") from None
    return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def reading_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` (with its SLURM_CONF) for commands whose output we parse."""
    return {k: v for k, v in environment.items() if not k.startswith(BENDING)} | FOR_MACHINES


def said(answer: Answer) -> str:
    """What a command complained about, as one line without its prefixes."""
    lines = (answer.err or answer.out).splitlines()
    words = [_PREFIXES.sub("", line).strip() for line in lines]
    return "; ".join(dict.fromkeys(word for word in words if word))
