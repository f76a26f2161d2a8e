"""Which of several replicas takes a request: the one that will be done first, unless another knows the conversation.

How soon one will be done is guessed from what it has at hand and how long its answers took of late. The home of a
conversation is preferred to the soonest one while it isn't much busier: a cached prefix saves work, a queue costs time.
"""

import random
from collections.abc import Sequence

from gateway.affinity import Affinity, score
from gateway.replicas import Replica

SPARE = {False: 1, True: 4}
"""By so many requests may the home be busier than the others; more when it has cached turns of this conversation."""

TIMES = 2.0
"""And so many times as slow as the soonest."""

UNSEEN_S = 0.001


def pick(replicas: Sequence[Replica], affinity: Affinity, now: float) -> Replica:
    """One of at least one. A pinned conversation stays at its home whatever that costs."""
    if len(replicas) == 1:
        return replicas[0]
    if affinity.pinned:
        return home_of(replicas, affinity.key)
    latencies = [replica.latency(now) for replica in replicas]
    seen = [latency for latency in latencies if latency]
    floor = sum(seen) / len(seen) / 2 if seen else UNSEEN_S  # one that is new or was left alone is tried, not flooded
    costs = [(one.inflight + 1) * max(latency, floor) for one, latency in zip(replicas, latencies, strict=True)]
    least = min(costs)
    if affinity.key:
        home = home_of(replicas, affinity.key)
        cost = costs[replicas.index(home)]
        spare = SPARE[affinity.grown]
        if home.inflight <= min(one.inflight for one in replicas) + spare and cost <= least * max(TIMES, spare + 1):
            return home
    best = [one for one, cost in zip(replicas, costs, strict=True) if cost <= least * 1.1]
    return best[0] if len(best) == 1 else random.choice(best)


def home_of(replicas: Sequence[Replica], key: int) -> Replica:
    return max(replicas, key=lambda replica: score(key, replica.endpoint.id))
