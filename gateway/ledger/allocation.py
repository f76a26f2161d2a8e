"""What our own models cost: the GPUs that Slurm allocated, hour by hour, spread over the tokens they produced. Pure.

A GPU costs while it is held, asked or not. So a deployment's bill is its GPU-hours × price; who used it carries the
bill in proportion to tokens (read and written count alike), and what was held on days without a token is nobody's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY_S = 86400

Day = tuple[int, str]
"""(days since 1970-01-01 UTC, deployment)"""


@dataclass(frozen=True)
class Held:
    """One server's time on its GPUs. Epoch seconds; `end` None: still there."""

    deployment_id: str
    model: str
    gpus: int
    start: float
    end: float | None


@dataclass(frozen=True)
class Bill:
    """One deployment. `idle_share` of `cost`: not covered by requests that were running (0 to 1)."""

    deployment_id: str
    model: str
    gpu_hours: float
    cost: float
    busy_cost: float
    tokens: int

    @property
    def idle_share(self) -> float:
        return max(0.0, 1 - self.busy_cost / self.cost) if self.cost else 0.0

    @property
    def per_million(self) -> float | None:
        """What a million tokens came to, idle time included; None: there was none."""
        return self.cost / self.tokens * 1e6 if self.tokens else None


def gpu_hours(held: Iterable[Held], since: float, until: float) -> dict[Day, float]:
    """GPU-hours by day and deployment within [since, until)."""
    found: dict[Day, float] = defaultdict(float)
    for one in held:
        start, end = max(one.start, since), min(until if one.end is None else one.end, until)
        while start < end:
            day = int(start // DAY_S)
            midnight = min((day + 1) * DAY_S, end)
            found[day, one.deployment_id] += (midnight - start) / 3600 * one.gpus
            start = midnight
    return dict(found)


def bills(
    held: Iterable[Held], since: float, until: float, price: float, used: Mapping[str, tuple[float, int]]
) -> list[Bill]:
    """A bill for each deployment that held GPUs. `used`: deployment → (cost of its requests' time, tokens)."""
    held = list(held)
    hours: dict[str, float] = defaultdict(float)
    for (_, deployment), value in gpu_hours(held, since, until).items():
        hours[deployment] += value
    models = {one.deployment_id: one.model for one in held}
    return [
        Bill(name, models[name], hours[name], hours[name] * price, *used.get(name, (0.0, 0))) for name in sorted(hours)
    ]


def shares(
    hours: Mapping[Day, float], price: float, tokens: Iterable[tuple[Day, tuple, int]]
) -> tuple[dict[tuple, float], float]:
    """(group → its part of the bill, what nobody used). `tokens`: (day and deployment, group, how many)."""
    of_day: dict[Day, dict[tuple, int]] = defaultdict(lambda: defaultdict(int))
    for day, group, count in tokens:
        of_day[day][group] += count
    parts: dict[tuple, float] = defaultdict(float)
    unused = 0.0
    for day, value in hours.items():
        whole = sum(of_day[day].values()) if day in of_day else 0
        if not whole:
            unused += value * price
            continue
        for group, count in of_day[day].items():
            parts[group] += value * price * count / whole
    return dict(parts), unused
