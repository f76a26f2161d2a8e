"""`sbatch --test-only`: when a job would start and whom it would evict. Pure.

    sbatch: Job 221 to start at 2026-11-23T09:28:40 using 2 processors on nodes h100-[01-02] in partition research
    sbatch:   Preempts: 217,218

Since 25.05 or so it reads 'to start at ... a using'. An answer that says only 'not now' is no refusal.
"""

import re

from batch.scheduler.slurm_text import time_of

_START = re.compile(r"to start at (\S+)")
_VICTIMS = re.compile(r"Preempts: *([0-9,_+\[\]-]+)")

NOT_NOW = ("not available now", "Requested nodes are busy", "are DOWN, DRAINED", "Job dependency problem")


def read_forecast(text: str) -> tuple[float | None, tuple[str, ...]]:
    """(epoch seconds or None, Slurm's own ids of the victims)."""
    start, victims = _START.search(text), _VICTIMS.search(text)
    ids = tuple(id for id in victims[1].split(",") if id) if victims else ()
    return (time_of(start[1]) if start else None), ids


def is_not_now(sentence: str) -> bool:
    """True when Slurm would queue the job all the same, and only can't say when it starts."""
    return any(words in sentence for words in NOT_NOW)
