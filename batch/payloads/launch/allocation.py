"""Which nodes are ours. Slurm writes them in brackets: h100-[01-03,07],login2. Pure, but for `this_job`."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PIECE = re.compile(r"\[([^\]]*)\]|([^,\[\]]+)|(,)")


@dataclass(frozen=True)
class Allocation:
    """`local`: no srun, the ranks are our own children and every node is this host."""

    job: str
    restarts: int
    nodes: tuple[str, ...]
    local: bool

    def address(self, node: str, pattern: str) -> str:
        """How `node` is reached from elsewhere: `pattern` (launch.json's "address") or its own name."""
        if pattern:
            return pattern.replace("{node}", node)
        return "127.0.0.1" if self.local else node


def this_job(environment: Mapping[str, str] | None = None) -> Allocation:
    """From the variables Slurm (or our local scheduler) sets; without any of them, this host alone."""
    env = os.environ if environment is None else environment
    local = env.get("DAYZERO_LOCAL") == "1" or not env.get("SLURM_JOB_NODELIST")
    nodes = tuple(expand(env.get("SLURM_JOB_NODELIST", ""))) or ("localhost",)
    restarts = env.get("SLURM_RESTART_COUNT", "")
    job = env.get("SLURM_JOB_ID", "")
    return Allocation(job, int(restarts) if restarts.isdigit() else 0, nodes, local)


def expand(text: str) -> list[str]:
    """The node names of a bracket list, in its order, zeros kept. ValueError when it isn't one."""
    return [name for part in _split(text) for name in _names(part)]


def _split(text: str) -> Iterator[list[list[str]]]:
    """Each comma-separated host as a list of pieces, each piece the list of texts it may be."""
    at, pieces = 0, []
    for match in _PIECE.finditer(text):
        if match.start() != at:
            raise ValueError(f"{text!r} is no list of nodes")
        at = match.end()
        ranges, plain, comma = match.groups()
        if comma:
            if pieces:
                yield pieces
            pieces = []
        else:
            pieces.append([plain] if plain is not None else list(_ranges(ranges)))
    if at != len(text):
        raise ValueError(f"{text!r} is no list of nodes")
    if pieces:
        yield pieces


def _names(pieces: list[list[str]]) -> Iterator[str]:
    return map("".join, itertools.product(*pieces))


def _ranges(text: str) -> Iterator[str]:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not dash:
            yield first
            continue
        for number in range(int(first), int(last) + 1):
            yield str(number).zfill(len(first))
