"""Small things that Slurm writes in its own way: times, GPU counts, node lists, array task lists, exit codes. Pure."""

import re
from datetime import datetime
from functools import lru_cache

_GPUS = re.compile(r"(?:^|,)gres[/:]gpu(?::(?!\d+(?:[,(]|$))[^,:=()]+)?(?:[:=](\d+))?(?:\([^)]*\))?(?=,|$)")
_TOTAL = re.compile(r"(?:^|,)gres/gpu=(\d+)(?=,|$)")
_PART = re.compile(r"((?:[^,\[]|\[[^\]]*\])+)")


def time_of(text: str) -> float | None:
    """Epoch seconds out of '1795455904' or, when SLURM_TIME_FORMAT was ignored, local '2026-11-23T17:45:04'."""
    if text.isdigit():
        return float(text) or None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None  # N/A, NONE, Unknown


@lru_cache(4096)
def gpus_of(tres: str) -> int:
    """GPUs in 'cpu=1,gres/gpu=2,gres/gpu:h100=2' (a total), 'gres:gpu:h100:8' or 'gres/gpu:8' (amounts); 0: none."""
    if total := _TOTAL.search(tres):
        return int(total[1])
    return sum(int(count or 1) for count in _GPUS.findall(tres))


def exit_code_of(text: str) -> str:
    """'code:signal' out of squeue's raw wait status ('768') or sacct's '3:0'."""
    if not text.isdigit():
        return text
    status = int(text)
    return f"{status >> 8}:{status & 127}"


@lru_cache(4096)
def nodes_of(text: str) -> tuple[str, ...]:
    """('toy-01', 'toy-02') out of 'toy-[01-02]'; nothing out of '(null)' or 'None assigned'."""
    if not text or text.startswith("(") or text in ("None assigned", "n/a", "N/A"):
        return ()
    return tuple(node for part in _PART.findall(text) for node in _expand(part))


def _expand(part: str) -> list[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        return [before]
    inside, _, after = rest.partition("]")
    return [before + number + end for number in _numbers(inside) for end in _expand(after)]


def _numbers(text: str) -> list[str]:
    found = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if dash and first.isdigit() and last.isdigit():
            found += [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
        else:
            found.append(piece)
    return found


def tasks_of(text: str) -> tuple[int, ...]:
    """(0, 2, 4, 7) out of '0-4:2,7%5'; an expression that was cut short ('1-3,...') gives what can be read."""
    found: list[int] = []
    for piece in text.strip("[]").partition("%")[0].split(","):
        span, _, step = piece.partition(":")
        first, _, last = span.partition("-")
        if first.isdigit() and (not last or last.isdigit()) and (not step or (step.isdigit() and int(step))):
            found += range(int(first), int(last or first) + 1, int(step or 1))
    return tuple(found)
