"""Deployment: one model revision under one plan. Human scale; it outlives the jobs that serve it.

The straight line: the weights are cached, a server starts, the gateway lists it privately, the Gauntlet tests it, it is
in `preview`, a person promotes it to `stable`. HELD waits for a person's judgement (the verdict was INCONCLUSIVE);
BROKEN waits for a person's hand (retry or abandon). DRAINING is the only road out of holding GPUs.

The tag that the gateway shows follows from the state alone (TAG_OF), so listing a model is the move itself.
"""

from lifecycle.machine import BROKE_IN, Machine

CACHING, STARTING, LISTING, TESTING, HELD, PREVIEW, STABLE, BROKEN, DRAINING, RETIRED = (
    "CACHING STARTING LISTING TESTING HELD PREVIEW STABLE BROKEN DRAINING RETIRED".split()
)

DEPLOYMENT = Machine(
    "deployment",
    CACHING,
    {
        CACHING: {"cached": STARTING, "cancelled": DRAINING, "broke": BROKEN},
        STARTING: {"healthy": LISTING, "cancelled": DRAINING, "broke": BROKEN},
        LISTING: {"listed": TESTING, "cancelled": DRAINING, "broke": BROKEN},
        TESTING: {"passed": PREVIEW, "failed": DRAINING, "undecided": HELD, "cancelled": DRAINING, "broke": BROKEN},
        HELD: {"passed": PREVIEW, "failed": DRAINING, "retested": TESTING, "cancelled": DRAINING, "broke": BROKEN},
        PREVIEW: {"promoted": STABLE, "superseded": DRAINING, "cancelled": DRAINING, "broke": BROKEN},
        STABLE: {"demoted": PREVIEW, "superseded": DRAINING, "cancelled": DRAINING, "broke": BROKEN},
        BROKEN: {"retried": BROKE_IN, "cancelled": DRAINING},
        DRAINING: {"drained": RETIRED},
        RETIRED: {},
    },
)

CANDIDATE_TAG, PREVIEW_TAG, STABLE_TAG = "candidate", "preview", "stable"

TAG_OF = {
    LISTING: CANDIDATE_TAG,
    TESTING: CANDIDATE_TAG,
    HELD: CANDIDATE_TAG,
    PREVIEW: PREVIEW_TAG,
    STABLE: STABLE_TAG,
}

NEEDS_SERVER = frozenset({STARTING, LISTING, TESTING, HELD, PREVIEW, STABLE})
"""States in which a deployment without a living server wants one."""
