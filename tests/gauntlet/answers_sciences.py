"""The answers of the physics, chemistry, units, finance and statistics questions, computed again."""

import math
import statistics
from statistics import NormalDist

MASS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Na": 22.990, "Ca": 40.078, "Fe": 55.845, "Al": 26.982}
BOOK = [(100.02, 300), (100.03, 500), (100.05, 700), (100.08, 1000)]
HOURS, SCORES = (1, 2, 4, 5, 8), (52, 55, 61, 60, 77)


def _walk_book(size: int) -> float:
    paid, left = 0.0, size
    for price, offered in BOOK:
        taken = min(left, offered)
        paid, left = paid + taken * price, left - taken
    return paid / size


def _slope(xs: tuple[int, ...], ys: tuple[int, ...]) -> float:
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def _duration() -> float:
    flows = [(1, 60), (2, 60), (3, 1060)]
    value = sum(flow / 1.05**t for t, flow in flows)
    return sum(t * flow / 1.05**t for t, flow in flows) / value


def _auction() -> int:
    buys = [(52, 200), (51, 300), (50, 400), (49, 500)]
    sells = [(48, 250), (49, 250), (50, 300), (51, 600)]
    volume = {
        price: min(sum(q for p, q in buys if p >= price), sum(q for p, q in sells if p <= price))
        for price in range(47, 54)
    }
    return max(volume.values())


def _irr() -> float:
    low, high = 0.0, 1.0
    for _ in range(200):
        rate = (low + high) / 2
        worth = -1000 + 400 / (1 + rate) + 450 / (1 + rate) ** 2 + 400 / (1 + rate) ** 3
        low, high = (rate, high) if worth > 0 else (low, rate)
    return low * 100


def _chi_square() -> float:
    table = [[30, 20], [15, 35]]
    rows, columns, total = [sum(r) for r in table], [sum(c) for c in zip(*table, strict=True)], 100
    return sum(
        (table[i][j] - rows[i] * columns[j] / total) ** 2 / (rows[i] * columns[j] / total)
        for i in range(2)
        for j in range(2)
    )


def _spearman(xs: tuple[int, ...], ys: tuple[int, ...]) -> float:
    def rank(values: tuple[int, ...]) -> list[int]:
        return [sorted(values).index(value) for value in values]

    return statistics.correlation(rank(xs), rank(ys))


def _buffer_ph() -> float:
    acid, base = 0.100 * 0.20 - 0.025 * 0.20, 0.025 * 0.20
    return 4.76 + math.log10(base / acid)


def _stone() -> float:
    """Depth of the well from the time until the splash, by halving."""
    low, high = 0.0, 200.0
    for _ in range(100):
        depth = (low + high) / 2
        late = math.sqrt(2 * depth / 9.81) + depth / 340 > 3.0
        low, high = (low, depth) if late else (depth, high)
    return low


ANSWERS = {
    "ph-stone": _stone,
    "ph-stop": lambda: 25 * 1.2 + 25**2 / (2 * 6.25),
    "ph-resistors": lambda: 4 + 1 / (1 / 6 + 1 / (3 + 9)),
    "ph-mix": lambda: (0.4 * 900 * 150 + 1.5 * 4180 * 20) / (0.4 * 900 + 1.5 * 4180),
    "ph-doppler": lambda: 440 * 340 / (340 - 34) - 440 * 340 / (340 + 34),
    "ph-photons": lambda: 5e-3 / (6.626e-34 * 2.998e8 / 532e-9) / 1e16,
    "ph-rc": lambda: 10e3 * 47e-6 * math.log(10) * 1000,
    "ph-lens": lambda: 1 / (1 / 20 - 1 / 50),
    "ph-orbit": lambda: 4 ** (2 / 3),
    "ph-radiator": lambda: (600 / 300) ** 4 * 0.5**2,
    "ph-atmosphere": lambda: 101325 * 4 * math.pi * 6.371e6**2 / 9.81 / 1e18,
    "ch-limiting": lambda: min(10.0 / (2 * MASS["H"]), 64.0 / (2 * MASS["O"]) * 2) * (2 * MASS["H"] + MASS["O"]),
    "ch-dilution": lambda: 250 * 0.30 / 12.0,
    "ch-buffer": _buffer_ph,
    "ch-gas": lambda: 2.50 / (MASS["Ca"] + MASS["C"] + 3 * MASS["O"]) * 0.082057 * 298.15 / 1.00 * 1000,
    "ch-iron": lambda: 1000 * 0.70 * 2 * MASS["Fe"] / (2 * MASS["Fe"] + 3 * MASS["O"]) * 0.92,
    "ch-electrolysis": lambda: 5.0 * 3600 * 2 / 96485 / 3 * MASS["Al"],
    "ch-isotopes": lambda: (35.453 - 36.966) / (34.969 - 36.966) * 100,
    "ch-formula": lambda: 2 * round(90.0 / (MASS["C"] + 2 * MASS["H"] + MASS["O"])),
    "ch-titration": lambda: 0.1250 * 32.40 / 2 / 25.00,
    "un-mileage": lambda: 100 * 3.785411784 / (32 * 1.609344),
    "un-tyre": lambda: 34 * 6894.757 / 1e5,
    "un-transfer": lambda: 3 * 2**40 * 8 / 10e9 / 60,
    "un-bar": lambda: 230 * 4184 / 3.6e6 * 1000,
    "un-knots": lambda: 24 * 1852 / 3600,
    "un-rain": lambda: 25e-3 * 3.5e4,
    "bond": lambda: 50 / 1.04 + 50 / 1.04**2 + 1050 / 1.04**3,
    "compound": lambda: (1.2 * 0.85 - 1) * 100,
    "fi-book": lambda: _walk_book(1200),
    "fi-duration": _duration,
    "fi-parity": lambda: 7.50 - 102 + 100 * math.exp(-0.04 * 0.5),
    "fi-kelly": lambda: (
        max(range(0, 1001), key=lambda f: 0.55 * math.log1p(f / 1000) + 0.45 * math.log(max(1e-9, 1 - f / 1000))) / 10
    ),
    "fi-spread": lambda: (
        (0.5 + 0.5 * 0.3) * 110 + (0.5 - 0.5 * 0.3) * 90 - ((0.5 - 0.5 * 0.3) * 110 + (0.5 + 0.5 * 0.3) * 90)
    ),
    "fi-forward": lambda: (1.05**3 / 1.04**2 - 1) * 100,
    "fi-auction": _auction,
    "fi-irr": _irr,
    "fi-sharpe": lambda: 0.0006 / 0.011 * math.sqrt(252),
    "fi-margin": lambda: 5000 / (200 * (1 - 0.30)),
    "fi-variance": lambda: math.sqrt(0.6**2 * 0.2**2 + 0.4**2 * 0.3**2 + 2 * 0.6 * 0.4 * 0.25 * 0.2 * 0.3) * 100,
    "st-slope": lambda: _slope(HOURS, SCORES),
    "st-chi": _chi_square,
    "st-variance": lambda: statistics.variance((4, 8, 6, 5, 3, 10)),
    "st-mad": lambda: statistics.median(
        abs(x - statistics.median((2, 3, 5, 9, 11, 14, 40))) for x in (2, 3, 5, 9, 11, 14, 40)
    ),
    "st-sample": lambda: math.ceil((NormalDist().inv_cdf(0.975) / 0.03) ** 2 * 0.25),
    "st-beta": lambda: (2 + 7) / (2 + 3 + 10),
    "st-spearman": lambda: _spearman((10, 20, 30, 40, 50), (12, 35, 30, 41, 38)),
    "st-mcnemar": lambda: 2 * sum(math.comb(22, k) for k in range(6)) / 2**22,
    "st-mixture": lambda: 0.3 * (4 + 10**2) + 0.7 * (9 + 20**2) - (0.3 * 10 + 0.7 * 20) ** 2,
    "st-false": lambda: (1 - 0.95**14) * 100,
}
