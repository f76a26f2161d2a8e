"""Replicas: the endpoints of the routing table as this worker has met them: how busy, and whether they answer.

A replica that refused or dropped a connection is out at once; a cheap probe brings it back. The ledger's word comes
first: what it no longer lists is gone, whatever the probe says.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.log import say
from gateway.routing import Endpoint, Served, Table

PROBE_FIRST_S = 0.05
PROBE_MOST_S = 2.0
FORGETS_S = 10.0
"""What was learned of a replica's latency counts for a third after so long."""


class Replica:
    """One endpoint. Its clock runs at 1/inflight: how far it goes during a request is that one's share of it."""

    __slots__ = (
        "_clock", "_latency", "_latency_at", "_then", "endpoint", "failures", "healthy", "held_s", "inflight", "reason",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self.inflight = 0
        self.healthy = True
        self.failures = 0  # since the last answer
        self.reason = ""
        self._clock = 0.0
        self._then = 0.0
        self._latency = 0.0
        self._latency_at = 0.0
        self.held_s = 0.0  # how long requests stayed, of late

    def enter(self) -> float:
        """A request starts here; give the returned mark back to `leave`."""
        self._tick()
        self.inflight += 1
        return self._clock

    def leave(self, mark: float) -> float:
        """The request ended; its share in seconds: 2 s beside one other request are 1 s."""
        self._tick()
        self.inflight -= 1
        return self._clock - mark

    def answered(self, seconds: float, now: float) -> None:
        """A first byte came after so long. A slow one counts at once, a fast one bit by bit."""
        known = self.latency(now)
        weight = math.exp((self._latency_at - now) / FORGETS_S) if known else 0.0
        self._latency = max(seconds, known * weight + seconds * (1 - weight))
        self._latency_at = now

    def latency(self, now: float) -> float:
        """Seconds to a first byte, as seen of late; towards 0, not seen, while nothing is asked of it."""
        return self._latency * math.exp((self._latency_at - now) / FORGETS_S) if self._latency else 0.0

    def held(self, seconds: float) -> None:
        self.held_s += (seconds - self.held_s) * (0.2 if self.held_s else 1.0)

    def _tick(self) -> None:
        now = time.monotonic()
        if self.inflight:
            self._clock += (now - self._then) / self.inflight
        self._then = now


class Fleet:
    """All replicas of the present table. `probe(endpoint)` says whether it answers again; it must not raise."""

    def __init__(self, probe: Callable[[Endpoint], Awaitable[bool]]):
        self._probe = probe
        self._replicas: dict[Endpoint, Replica] = {}
        self._of: dict[str, list[Replica]] = {}  # by deployment
        self._probes: dict[Endpoint, asyncio.Task] = {}
        self.on_change: Callable[[Replica], None] = lambda replica: None

    def update(self, table: Table) -> None:
        """Take over a new table. What stays keeps its state; a server that came up anew starts healthy."""
        listed = {endpoint for one in table.served for endpoint in one.endpoints}
        self._replicas = {endpoint: self._replicas.get(endpoint) or Replica(endpoint) for endpoint in listed}
        self._of = {one.id: [self._replicas[endpoint] for endpoint in one.endpoints] for one in table.served}
        for endpoint in set(self._probes) - listed:
            self._probes.pop(endpoint).cancel()

    def of(self, one: Served) -> Sequence[Replica]:
        """All that the table lists for it now, whichever table `one` came from."""
        return self._of.get(one.id, ())

    def up(self, one: Served) -> list[Replica]:
        """Those that answer."""
        return [replica for replica in self._of.get(one.id, ()) if replica.healthy]

    def healthy(self, one: Served) -> int:
        return len(self.up(one))

    def busy(self, one: Served) -> int:
        return sum(replica.inflight for replica in self.of(one))

    def failed(self, replica: Replica, reason: str) -> None:
        """Out of rotation until a probe succeeds."""
        replica.failures += 1
        replica.reason = reason
        endpoint = replica.endpoint
        if not replica.healthy or self._replicas.get(endpoint) is not replica:
            return
        replica.healthy = False
        say("endpoint.down", endpoint=endpoint.id, url=endpoint.url, reason=reason)
        self.on_change(replica)
        self._probes[endpoint] = asyncio.create_task(self._bring_back(replica))

    async def _bring_back(self, replica: Replica) -> None:
        # the first failure is probed at once; one that fails again and again although its probe succeeds waits longer
        pause = min(PROBE_FIRST_S * 2 ** (replica.failures - 1), PROBE_MOST_S) if replica.failures > 1 else 0.0
        while True:
            await asyncio.sleep(pause)
            if await self._probe(replica.endpoint):
                break
            pause = min(max(pause * 2, PROBE_FIRST_S), PROBE_MOST_S)
        replica.healthy = True
        self._probes.pop(replica.endpoint, None)
        say("endpoint.back", endpoint=replica.endpoint.id, url=replica.endpoint.url)
        self.on_change(replica)

    def close(self) -> None:
        for task in self._probes.values():
            task.cancel()
        self._probes.clear()
