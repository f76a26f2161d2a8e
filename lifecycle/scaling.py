"""How many servers a deployment has: more under load, none while nobody asks, some again when somebody does. Pure.

A deployment that sleeps keeps its state and its tag; the gateway shows it with the time that waking takes (`sleepers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from lifecycle import hours
from lifecycle.demand import Demand
from lifecycle.records import Deployment

SLEEP, WAKE = "sleep", "wake"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When to add a server and when to take one away. Times in seconds."""

    concurrency: int = 16  # requests that one server works on at once
    full: float = 0.8  # of all servers' concurrency, or anybody who waits: busy
    calm: float = 0.5  # of what one server fewer could take: calm
    busy_s: float = 30.0  # busy for so long: one more
    calm_s: float = 600.0  # calm for so long: one fewer
    early_s: float = 0.0  # before awake hours begin; the load time is added


@dataclass(frozen=True)
class Turn:
    """`what`: SLEEP or WAKE; `why` ends the sentence "It goes to sleep/is woken: ..."."""

    what: str
    why: str


def turn(deployment: Deployment, demand: Demand | None, up_since: float | None, zone: tzinfo | None, now: float,
         pace: Pace) -> Turn | None:  # fmt: skip
    """Fall asleep or wake? `demand` None: the gateway's word can't be had; `up_since`: the newest server's."""
    begun = _in_hours(deployment, zone, now)
    if deployment.asleep_since is not None:
        wanted = demand.wanted_at if demand is not None else None
        if wanted is not None and wanted >= deployment.asleep_since:
            return Turn(WAKE, "somebody asked for it")
        early = _in_hours(deployment, zone, now + pace.early_s + (deployment.load_s or 0))
        return Turn(WAKE, f"its hours are {deployment.awake_hours}") if begun or early else None
    if deployment.idle_s is None or demand is None or up_since is None or begun:
        return None
    if demand.inflight or demand.waiting:
        return None
    moments = (demand.last_request_at, deployment.awake_since, deployment.since, up_since)
    last = max(at for at in moments if at is not None)
    if now - last < deployment.idle_s or _in_hours(deployment, zone, now + (deployment.load_s or 0)):
        return None
    return Turn(SLEEP, f"nobody asked for it in {_minutes(deployment.idle_s)}")


def load(demand: Demand, up: int, pace: Pace) -> str:
    """ "busy", "calm" or "": of `up` servers that answer."""
    requests = demand.inflight + demand.waiting
    if up and (demand.waiting or requests > pace.full * pace.concurrency * up):
        return "busy"
    return "calm" if up > 1 and requests <= pace.calm * pace.concurrency * (up - 1) else ""


def target(deployment: Deployment, up: int, alive: int, now: float, pace: Pace) -> int:
    """How many servers it is to have now: 0 asleep, else from `replicas` to `replicas_most`, one step at a time."""
    if deployment.asleep_since is not None:
        return 0
    least, most = deployment.replicas, max(deployment.replicas, deployment.replicas_most)
    wanted = max(least, min(most, alive))
    if up < alive:
        return wanted  # one is on its way, or leaving: first see what that does
    if deployment.busy_since is not None and now - deployment.busy_since >= pace.busy_s:
        return min(most, wanted + 1)
    if deployment.calm_since is not None and now - deployment.calm_since >= pace.calm_s:
        return max(least, wanted - 1)
    return wanted


def read_hours(text: str) -> Sequence[hours.Hours]:
    """Of the column: several are separated by commas. ValueError says what was expected."""
    return [hours.read(part) for part in text.split(",") if part.strip()]


def _in_hours(deployment: Deployment, zone: tzinfo | None, at: float) -> bool:
    return hours.until(read_hours(deployment.awake_hours), at, zone) is not None


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
