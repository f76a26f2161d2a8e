"""What callers ask of a deployment, as the gateway has counted it: the ground to scale it up, down and to wake it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """Of one deployment, over all workers. Times are epoch seconds UTC; None: never."""

    inflight: int = 0  # requests that a replica works on
    waiting: int = 0  # requests in the gateway's queue
    last_request_at: float | None = None
    wanted_at: float | None = None  # a caller asked while it was scaled to zero
