"""Server: one Slurm job that runs an engine for a deployment. Job scale; it may die, be requeued, be succeeded.

The gateway routes to UP only. `requeued` really goes backwards: a preempted or failed-over job waits in the queue again
under the same id. `lost` ends anywhere; `drain` is asked for from anywhere.
"""

from lifecycle.machine import Machine

WANTED, QUEUED, LOADING, UP, SICK, DRAINING, GONE = "WANTED QUEUED LOADING UP SICK DRAINING GONE".split()

SERVER = Machine(
    "server",
    WANTED,
    {
        WANTED: {"submitted": QUEUED, "drain": GONE, "lost": GONE},
        QUEUED: {"running": LOADING, "drain": DRAINING, "lost": GONE},
        LOADING: {"ready": UP, "requeued": QUEUED, "drain": DRAINING, "lost": GONE},
        UP: {"sick": SICK, "requeued": QUEUED, "drain": DRAINING, "lost": GONE},
        SICK: {"recovered": UP, "requeued": QUEUED, "drain": DRAINING, "lost": GONE},
        DRAINING: {"gone": GONE, "lost": GONE},
        GONE: {},
    },
)

ALIVE = frozenset({WANTED, QUEUED, LOADING, UP, SICK})
"""States that count as 'there is a server, or one is on its way'."""
