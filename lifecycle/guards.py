"""Guard rails: what no plan and no submission crosses, whoever approved it. Pure; asked at both times.

A rail that will let it through later answers with a Stay: why, and until when. A rail that never will raises Refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

from lifecycle import hours
from lifecycle.errors import Refused
from lifecycle.hours import Hours
from lifecycle.jobs import Forecast
from lifecycle.plans import Plan
from lifecycle.sections.cluster import Cluster

DAY_S = 24 * 3600.0
SOON_S = 60.0
"""A job that is to start within this time and evicts nobody may be submitted in quiet hours."""
LOOK_AGAIN_S = 60.0
"""So often the scheduler is asked again about a server that waits for a rail: jobs end, and then nobody is evicted."""


@dataclass(frozen=True, kw_only=True)
class Rails:
    """[cluster.guards] and what the cluster section says jobs are submitted with. None: anything goes."""

    max_nodes: int | None = None
    quiet: tuple[Hours, ...] = ()
    zone: tzinfo | None = None  # None: this host's
    preemptions_a_day: int | None = None
    never: frozenset[str] = frozenset()
    account: str | None = None
    qos: str | None = None

    @classmethod
    def of(cls, cluster: Cluster) -> "Rails":
        guards = cluster.guards
        return cls(
            max_nodes=guards.max_nodes,
            quiet=tuple(map(hours.read, guards.quiet_hours)),
            zone=ZoneInfo(guards.time_zone) if guards.time_zone else None,
            preemptions_a_day=guards.preemptions_a_day,
            never=frozenset(guards.never),
            account=cluster.account,
            qos=cluster.qos,
        )


NO_RAILS = Rails()


@dataclass(frozen=True)
class Stay:
    """Not now. `until` is epoch seconds; then the rails are asked again."""

    sentence: str
    until: float


def check_plan(plan: Plan, rails: Rails) -> None:
    """What a plan may be at all. Raises Refused: which rail, and what to do."""
    if rails.max_nodes is not None and plan.nodes > rails.max_nodes:
        raise Refused(
            f"It needs {plan.nodes} nodes, and cluster.guards.max_nodes is {rails.max_nodes}.",
            "Ask for fewer nodes, or have the rail moved.",
        )
    if plan.partition in rails.never:
        raise Refused(
            f"The partition {plan.partition} is never touched (cluster.guards.never).",
            "Set cluster.partition to another one.",
        )
    for word, planned, allowed in (("account", plan.account, rails.account), ("QOS", plan.qos, rails.qos)):
        if allowed is not None and planned != allowed:
            raise Refused(
                f"It was planned for the {word} {planned or '(none)'}, and the settings now say {allowed or '(none)'}.",
                f"Make a new plan, or set cluster.{word.lower()} back.",
            )


def stay(forecast: Forecast, preempted: Sequence[float], rails: Rails, now: float) -> Stay | None:
    """May what would do this be submitted now? `preempted`: when jobs of others were, within the last day.

    Raises Refused where no waiting helps: a job in a partition that is never touched, more victims than a day allows.
    """
    if touched := next((v for v in forecast.victims if v.partition in rails.never), None):
        raise Refused(
            f"It would preempt job {touched.handle} in the partition {touched.partition}, which is never touched "
            "(cluster.guards.never).",
            "Wait for free nodes, ask for fewer, or retry later.",
        )
    found = [one for one in (_quiet(forecast, rails, now), _many(forecast, preempted, rails, now)) if one is not None]
    return max(found, key=lambda one: one.until, default=None)


def _quiet(forecast: Forecast, rails: Rails, now: float) -> Stay | None:
    """In quiet hours only what starts at once and evicts nobody is submitted: what waits might evict later."""
    end = hours.until(rails.quiet, now, rails.zone)
    at_once = forecast.starts_at is not None and forecast.starts_at <= now + SOON_S
    if end is None or (at_once and not forecast.victims):
        return None
    windows = ", ".join(window.text for window in rails.quiet)
    if end == float("inf"):
        raise Refused(
            f"It would preempt jobs, and the quiet hours ({windows}) never end.", "Mend cluster.guards.quiet_hours."
        )
    does = f"would preempt {_jobs(len(forecast.victims))}" if forecast.victims else "might preempt jobs"
    when = hours.clock(end, rails.zone)
    return Stay(f"It {does}, and these are quiet hours ({windows}): it goes at {when}, or once nodes are free.", end)


def _many(forecast: Forecast, preempted: Sequence[float], rails: Rails, now: float) -> Stay | None:
    most, wanted = rails.preemptions_a_day, len(forecast.victims)
    if most is None or not wanted:
        return None
    if wanted > most:
        raise Refused(
            f"It would preempt {_jobs(wanted)}, and cluster.guards.preemptions_a_day is {most}.",
            "Wait for free nodes, ask for fewer nodes, or have the rail moved.",
        )
    recent = sorted(at for at in preempted if at > now - DAY_S)
    too_many = len(recent) + wanted - most
    if too_many <= 0:
        return None
    end = recent[too_many - 1] + DAY_S
    return Stay(
        f"It would preempt {_jobs(wanted)}; {_jobs(len(recent))} made room within the last 24 hours, and "
        f"cluster.guards.preemptions_a_day is {most}: it goes at {hours.clock(end, rails.zone)}, "
        "or once nodes are free.",
        end,
    )


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"
