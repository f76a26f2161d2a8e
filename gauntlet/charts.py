"""Charts of load, as SVG that needs no script: tokens per second and the wait for the first token, by callers at once.

Both over one axis of callers (each step doubles them): bars for the rate, a line with its spread (half to 99 in a
hundred) for the first token. The deployment that would be replaced stands beside, paler.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gauntlet.loads import Step, describe_load, knee_of, steps_of

WIDTH, HEIGHT, PAD = 560.0, 150.0, 26.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One step's place in the drawing, in its own units; `old`: it is the baseline's."""

    x: float
    width: float
    y: float
    height: float
    label: str
    value: str
    knee: bool
    old: bool


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One sample's load: what is drawn, and the same as a table. `price`: of a million tokens at the knee."""

    title: str
    sentence: str
    steps: tuple[Step, ...]
    before: Mapping[int, Step]
    price: float | None
    price_before: float | None
    bars: tuple[Bar, ...]
    spread: tuple[tuple[float, float, float], ...]  # x, y of half, y of 99 in a hundred: of the first token
    slowest_s: float  # the top of the spread's axis
    width: float = WIDTH
    height: float = HEIGHT


def charts_of(
    records: Sequence[Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]],
    subject: Mapping[str, Any],
    subject_before: Mapping[str, Any],
) -> tuple[Chart, ...]:
    """A chart for each record of a load; `before`: the baseline's records by id; `subject`: with gpus and its price."""
    found = []
    for record in records:
        if steps := steps_of(record["answers"]):
            old = steps_of(before.get(record["id"], {}).get("answers", ()))
            found.append(_chart(record["id"], steps, old, _price(steps, subject), _price(old, subject_before)))
    return tuple(found)


def _price(steps: Sequence[Step], subject: Mapping[str, Any]) -> float | None:
    """None when it is not known what a GPU costs, or nothing was generated."""
    knee, gpus, hour = knee_of(steps), subject.get("gpus"), subject.get("gpu_hour_price")
    return knee.price(gpus, hour) if knee and knee.rate and gpus and hour else None


def _chart(
    title: str, steps: Sequence[Step], old: Sequence[Step], price: float | None, price_before: float | None
) -> Chart:
    before = {step.at_once: step for step in old}
    top = max((step.rate for step in [*steps, *old]), default=0.0) or 1.0
    slowest = max(step.first_p99_s for step in steps) or 1.0
    room, floor = WIDTH / len(steps), HEIGHT - PAD
    bars: list[Bar] = []
    spread = []
    for place, step in enumerate(steps):
        left = place * room
        for one, is_old in ((before.get(step.at_once), True), (step, False)):
            if one is not None:
                tall = (floor - PAD) * one.rate / top
                shift = 0.16 if is_old else 0.36
                bars.append(
                    Bar(
                        x=left + room * shift, width=room * 0.3, y=floor - tall, height=tall,
                        label=f"{step.at_once} at once", value=f"{one.rate:,.0f}", old=is_old,
                        knee=not is_old and one is knee_of(steps),
                    )
                )  # fmt: skip
        scale = (floor - PAD) / slowest
        spread.append((left + room * 0.82, floor - step.first_p50_s * scale, floor - step.first_p99_s * scale))
    return Chart(
        title=title.partition("/")[2], sentence=describe_load(steps), steps=tuple(steps), before=before, price=price,
        price_before=price_before, bars=tuple(bars), spread=tuple(spread), slowest_s=slowest,
    )  # fmt: skip
