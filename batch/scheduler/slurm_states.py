"""Every state word of Slurm → JobState: total over the man page, flags included; an unknown word is UNKNOWN.

Words that say how a job is coming back (REQUEUED, REQUEUE_HOLD, SPECIAL_EXIT ...) are QUEUED; those of a job that still
holds its nodes (COMPLETING, SIGNALING, STAGE_OUT ...) are RUNNING: it has not ended until they are free.
"""

from functools import lru_cache

from lifecycle.jobs import JobState

Q, R, OK, F, C, S, U = (
    JobState.QUEUED,
    JobState.RUNNING,
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.SUSPENDED,
    JobState.UNKNOWN,
)

STATES = {
    "PENDING": Q,
    "RUNNING": R,
    "SUSPENDED": S,
    "COMPLETED": OK,
    "CANCELLED": C,
    "FAILED": F,
    "TIMEOUT": F,
    "NODE_FAIL": F,
    "PREEMPTED": F,  # and not requeued: a requeued one is in the queue, and the queue is asked first
    "BOOT_FAIL": F,
    "DEADLINE": F,
    "OUT_OF_MEMORY": F,
    # flags, shown instead of the base state
    "LAUNCH_FAILED": F,
    "RECONFIG_FAIL": F,
    "CONFIGURING": R,  # it holds nodes that are booting
    "POWER_UP_NODE": R,
    "COMPLETING": R,
    "EXPEDITING": Q,
    "REQUEUED": Q,
    "REQUEUE_FED": Q,
    "REQUEUE_HOLD": Q,
    "RESV_DEL_HOLD": Q,
    "SPECIAL_EXIT": Q,
    "RESIZING": R,
    "SIGNALING": R,
    "STAGE_OUT": R,
    "UPDATE_DB": R,
    "STOPPED": S,
    "REVOKED": U,  # another cluster of the federation runs it under this id
}


@lru_cache(256)
def state_of(word: str) -> JobState:
    """The state of a word as squeue or sacct prints it, such as 'CANCELLED by 1000'."""
    return STATES.get(word.split(" ", 1)[0].rstrip("+").upper(), U)
