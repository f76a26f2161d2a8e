"""Wilson's interval of a rate: right for small samples and for rates near 0 and 1, where the usual one is not."""

import math
from functools import cache
from statistics import NormalDist

MOST = 5000  # samples_needed gives up here


def wilson(passed: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of the true rate when `passed` of `total` passed; (0, 1) when nothing is known."""
    if total == 0:
        return 0.0, 1.0
    z = _z(confidence)
    rate = passed / total
    spread = 1 + z * z / total
    middle = (rate + z * z / (2 * total)) / spread
    half = z / spread * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    # at 0 and 1 rounding would leave 1e-17 on the wrong side
    low = 0.0 if passed == 0 else max(0.0, middle - half)
    high = 1.0 if passed == total else min(1.0, middle + half)
    return low, high


@cache
def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def samples_needed(passed: int, total: int, wanted: float, confidence: float = 0.95) -> int | None:
    """How many more samples would settle it if the rate stays as it is; None when it would take more than MOST."""
    if total == 0:
        return None
    rate = passed / total
    for more in range(MOST):
        n = total + more
        low, high = wilson(round(rate * n), n, confidence)
        if low >= wanted or high < wanted:
            return more
    return None
