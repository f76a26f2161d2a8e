"""What a server does under rising load: one step for each number of callers, and the knee where more bring no more.

Pure. A step's answers carry the label "load <callers>"; each caller asked the same number of times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gauntlet.answers import Answer

KNEE = 1.1  # the next step must bring a tenth more tokens per second, else the knee is passed
LABEL = "load "
HOUR_S, MILLION = 3600, 1e6


@dataclass(frozen=True, kw_only=True)
class Step:
    """One number of callers at once. Times in seconds; rates in tokens per second, of all callers together."""

    at_once: int
    rate: float
    first_p50_s: float
    first_p99_s: float
    between_p50_s: float  # inter-token latency: the mean of one answer, the median over answers
    between_p99_s: float

    def price(self, gpus: float, gpu_hour_price: float) -> float:
        """Of a million generated tokens at this rate, in the currency of `gpu_hour_price`."""
        return gpus * gpu_hour_price / HOUR_S / self.rate * MILLION if self.rate else float("inf")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def steps_of(answers: Sequence[Answer] | Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps in the order in which they were asked; none when no answer is of a load."""
    found: dict[int, list[Answer]] = {}
    for one in answers:
        answer = one if isinstance(one, Answer) else Answer.of(one)
        if answer.asked.startswith(LABEL):
            found.setdefault(int(answer.asked.removeprefix(LABEL)), []).append(answer)
    return tuple(_step(at_once, group) for at_once, group in found.items())


def _step(at_once: int, answers: Sequence[Answer]) -> Step:
    rounds = [answers[i : i + at_once] for i in range(0, len(answers), at_once)]
    wall = sum(max(answer.total_s for answer in one) for one in rounds)
    firsts = sorted(a.first_token_s for a in answers if a.first_token_s is not None)
    between = sorted(
        (a.total_s - a.first_token_s) / (a.completion_tokens - 1)
        for a in answers
        if a.first_token_s is not None and a.completion_tokens > 1
    )
    return Step(
        at_once=at_once,
        rate=sum(a.completion_tokens for a in answers) / wall if wall else 0.0,
        first_p50_s=quantile(firsts, 0.5),
        first_p99_s=quantile(firsts, 0.99),
        between_p50_s=quantile(between, 0.5),
        between_p99_s=quantile(between, 0.99),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def knee_of(steps: Sequence[Step]) -> Step | None:
    """The last step that was still worth its callers."""
    best = None
    for step in steps:
        if best is not None and step.rate < best.rate * KNEE:
            break
        best = step
    return best


def paced(rate: float) -> str:
    """Tokens per second as people read them: 1,234 and 7.5."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def describe_load(steps: Sequence[Step]) -> str:
    """One sentence: the knee, and what a caller feels there and alone."""
    knee = knee_of(steps)
    if knee is None:
        return "Nothing was measured."
    alone, passed = steps[0], knee is not steps[-1]
    where = f"Most tokens with {knee.at_once} at once" if passed else f"Still rising with {knee.at_once} at once"
    return (
        f"{where}: {paced(knee.rate)} tokens/s together, first token after {knee.first_p50_s * 1000:.0f} ms "
        f"(99%: {knee.first_p99_s * 1000:.0f} ms), then {knee.between_p50_s * 1000:.1f} ms a token; "
        f"alone: {paced(alone.rate)} tokens/s, first token after {alone.first_p50_s * 1000:.0f} ms."
    )
