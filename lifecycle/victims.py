"""Victim: somebody's research job that a server preempts, and what its owner was told.

EXPECTED when the forecast names it; then what Slurm really did: REQUEUED (waits again), CANCELLED (must be
resubmitted), SUSPENDED; RESUMED when it runs again; SPARED when the server got its nodes without it.
"""

from lifecycle.machine import Machine

EXPECTED, REQUEUED, CANCELLED, SUSPENDED, RESUMED, SPARED = (
    "EXPECTED REQUEUED CANCELLED SUSPENDED RESUMED SPARED".split()
)

VICTIM = Machine(
    "victim",
    EXPECTED,
    {
        EXPECTED: {"requeued": REQUEUED, "cancelled": CANCELLED, "suspended": SUSPENDED, "spared": SPARED},
        REQUEUED: {"resumed": RESUMED, "cancelled": CANCELLED},
        SUSPENDED: {"resumed": RESUMED, "cancelled": CANCELLED},
        CANCELLED: {},
        RESUMED: {},
        SPARED: {},
    },
)
