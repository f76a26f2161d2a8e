"""Two runs on the same samples: is one better, how sure is that, and what could have been seen? Pure.

`lost` samples passed before and fail now; `gained` ones the other way round; `n` were graded in both runs. What passes
or fails in both says nothing of the difference, but much of its size.

The bootstrap is computed and not drawn: resampling n samples gives a sum of n terms that are -1, 0 or +1 with known
shares, whose distribution is a convolution. So it needs no seed, and two looks at the same run say the same.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

CONVOLVED_UP_TO = 1000  # samples; beyond, the sum is as good as normal
POWER = 0.8


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p-value of the exact McNemar test; 1 when nothing differs."""
    n, least = lost + gained, min(lost, gained)
    if not n:
        return 1.0
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n)


@cache
def bootstrap(n: int, lost: int, gained: int, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the difference of the rates (now minus before); (-1, 1) when nothing is known."""
    if n == 0:
        return -1.0, 1.0
    if n > CONVOLVED_UP_TO:
        mean = (gained - lost) / n
        spread = math.sqrt(max(0.0, (gained + lost) / n - mean * mean) / n)
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
        return max(-1.0, mean - half), min(1.0, mean + half)
    weights = _sum_of(n, lost / n, gained / n)
    tail = (1 - confidence) / 2
    return (_quantile(weights, tail) - n) / n, (_quantile(weights, 1 - tail) - n) / n


def _sum_of(n: int, down: float, up: float) -> list[float]:
    """Weights of the sums -n..n of n independent terms, by squaring: log n convolutions."""
    result, power = [1.0], [down, 1 - down - up, up]
    while True:
        if n & 1:
            result = _convolve(result, power)
        n >>= 1
        if not n:
            return result
        power = _convolve(power, power)


def _convolve(a: Sequence[float], b: Sequence[float]) -> list[float]:
    out = [0.0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        if x > 1e-16:  # most weights far from the middle are nothing
            for j, y in enumerate(b):
                out[i + j] += x * y
    return out


def _quantile(weights: Sequence[float], share: float) -> int:
    total, wanted = 0.0, share * math.fsum(weights)
    for index, weight in enumerate(weights):
        total += weight
        if total >= wanted:
            return index
    return len(weights) - 1


def visible_drop(n: int, discordant: float, alpha: float = 0.05, power: float = POWER) -> float | None:
    """The smallest drop of the rate that McNemar's test would have found with this power; None when no drop would be.

    `discordant`: the share of samples that differ. By the normal approximation of Miettinen, so a rule of thumb; it
    says how much a "no clear difference" is worth.
    """
    for step in range(1, 1001):
        drop = step / 1000
        if samples_to_see(drop, discordant, alpha, power) <= n:
            return drop
    return None


def samples_to_see(drop: float, discordant: float, alpha: float = 0.05, power: float = POWER) -> int:
    """How many samples in both runs show a difference of this size."""
    share = max(discordant, abs(drop))
    z, y = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    return math.ceil((z * math.sqrt(share) + y * math.sqrt(share - drop * drop)) ** 2 / (drop * drop))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for having looked several times (Holm), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, most = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = most
    return adjusted


def kappa(both_pass: int, first_only: int, second_only: int, both_fail: int) -> float | None:
    """Cohen's kappa of two raters who say pass or fail: 1 agreement, 0 no better than chance.

    None where it is not defined: no sample, or both raters always said the same one word.
    """
    n = both_pass + first_only + second_only + both_fail
    if n == 0:
        return None
    agreed = (both_pass + both_fail) / n
    first, second = (both_pass + first_only) / n, (both_pass + second_only) / n
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else (agreed - chance) / (1 - chance)
