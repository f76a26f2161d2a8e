"""The answers of the number, probability, geometry and matrix questions, computed again, counted where one can."""

import math
from fractions import Fraction
from itertools import combinations, permutations, product
from math import comb, factorial, gcd

MATRIX = [[2, -1, 0, 3], [1, 4, -2, 0], [0, 5, 1, -1], [3, 0, 2, 1]]


def _derangements_with(fixed: int, size: int) -> int:
    return sum(sum(i == p for i, p in enumerate(order)) == fixed for order in permutations(range(size)))


def _valuation(n: int, prime: int) -> int:
    times = 0
    while n % prime == 0:
        n, times = n // prime, times + 1
    return times


def _partitions(n: int, most: int) -> int:
    return 1 if n == 0 else sum(_partitions(n - part, part) for part in range(1, min(n, most) + 1))


def _unpayable(coins: tuple[int, ...], limit: int) -> int:
    payable = {0}
    for amount in range(1, limit):
        if any(amount - coin in payable for coin in coins):
            payable.add(amount)
    return max(set(range(limit)) - payable)


def _period(n: int) -> int:
    seen, rest, place = {}, 1, 0
    while rest not in seen:
        seen[rest] = place
        rest, place = rest * 10 % n, place + 1
    return place - seen[rest]


def _expected_throws(pattern: str) -> float:
    """Fair coin, by the linear equations of the pattern's automaton, solved by many sweeps."""
    n = len(pattern)

    def after(matched: int, throw: str) -> int:
        said = pattern[:matched] + throw
        return next(k for k in range(min(n, len(said)), -1, -1) if said.endswith(pattern[:k]))

    value = [0.0] * (n + 1)
    for _ in range(5000):
        value = [1 + (value[after(s, "H")] + value[after(s, "T")]) / 2 for s in range(n)] + [0.0]
    return value[0]


def _ruin(start: int, goal: int, p: float) -> float:
    value = [0.0] * goal + [1.0]
    for _ in range(5000):
        value = [0.0, *(p * value[i + 1] + (1 - p) * value[i - 1] for i in range(1, goal)), 1.0]
    return value[start]


def _walk(sides: int, target: int) -> float:
    value = [0.0] * sides
    for _ in range(5000):
        value = [0.0 if i == target else 1 + (value[i - 1] + value[(i + 1) % sides]) / 2 for i in range(sides)]
    return value[0]


def _determinant(matrix: list[list[int]]) -> Fraction:
    total = Fraction(0)
    for order in permutations(range(len(matrix))):
        sign = (-1) ** sum(a > b for a, b in combinations(order, 2))
        total += sign * math.prod(Fraction(matrix[i][j]) for i, j in enumerate(order))
    return total


def _rank(rows: list[list[int]]) -> int:
    rows = [[Fraction(x) for x in row] for row in rows]
    rank = 0
    for column in range(len(rows[0])):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for r in range(rank + 1, len(rows)):
            factor = rows[r][column] / rows[rank][column]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[rank], strict=True)]
        rank += 1
    return rank


def _power(matrix: list[list[int]], n: int) -> list[list[int]]:
    size = range(len(matrix))
    result = [[int(i == j) for j in size] for i in size]
    for _ in range(n):
        result = [[sum(result[i][k] * matrix[k][j] for k in size) for j in size] for i in size]
    return result


def _lattice_inside(corners: list[tuple[int, int]]) -> int:
    def side(a: tuple[int, int], b: tuple[int, int], p: tuple[int, int]) -> int:
        return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    return sum(all(side(a, b, p) > 0 for a, b in edges) for p in product(range(-20, 21), repeat=2))


def _heron(a: float, b: float, c: float) -> float:
    s = (a + b + c) / 2
    return math.sqrt(s * (s - a) * (s - b) * (s - c))


ANSWERS = {
    "tank": lambda: 5 * (840 / 6 - 840 / 10),
    "digits": lambda: sum("7" in str(n) for n in range(1, 1000)),
    "grid": lambda: sum(n * n for n in range(1, 5)),
    "handshakes": lambda: next(n for n in range(2, 99) if comb(n, 2) - 1 == 65),
    "clock": lambda: abs((7 + 40 / 60) * 30 - 40 * 6),
    "mod": lambda: pow(7, 222, 100),
    "divisors": lambda: sum(5040 % n == 0 for n in range(1, 5041)),
    "speed": lambda: 2 / (1 / 12 + 1 / 36),
    "nt-order": lambda: next(n for n in range(1, 100) if 10**n % 73 == 1),
    "nt-remainders": lambda: next(n for n in range(1, 2000) if (n % 7, n % 11, n % 13) == (3, 5, 8)),
    "nt-zeros": lambda: _valuation(factorial(1000), 12),
    "nt-square-divisors": lambda: sum(factorial(10) % (n * n) == 0 for n in range(1, 2000)),
    "nt-digit-sum": lambda: sum(map(int, str(2**60))),
    "nt-common": lambda: sum(gcd(n, 2024) > 1 for n in range(1, 2025)),
    "nt-coins": lambda: _unpayable((6, 10, 15), 500),
    "nt-partitions": lambda: _partitions(12, 12),
    "nt-period": lambda: _period(49),
    "nt-disc": lambda: sum(x * x + y * y <= 50 for x, y in product(range(-8, 9), repeat=2)),
    "nt-palindromes": lambda: sum(str(n) == str(n)[::-1] and n % 11 == 0 for n in range(100, 1000)),
    "dice": lambda: sum(max(throw) == 4 for throw in product(range(1, 7), repeat=3)) / 216,
    "urn": lambda: comb(5, 2) * 4 / comb(9, 3),
    "p-faces": lambda: sum(6 / k for k in range(1, 7)),
    "p-pattern": lambda: _expected_throws("HTH"),
    "p-ruin": lambda: _ruin(3, 5, 0.6),
    "p-two-tests": lambda: 0.008 * 0.92**2 / (0.008 * 0.92**2 + 0.992 * 0.05**2),
    "p-letters": lambda: _derangements_with(2, 7) / factorial(7),
    "p-double": lambda: sum(6 * x * max(0.0, 1 - 2 * x) for x in ((i + 0.5) / 2000 for i in range(2000))) / 2000,
    "p-calls": lambda: 1 - sum(math.exp(-1) / factorial(k) for k in range(2)),
    "p-hexagon": lambda: _walk(6, 3),
    "p-birthday": lambda: next(n for n in range(2, 99) if 1 - math.prod((365 - i) / 365 for i in range(n)) > 0.7),
    "p-sum-seven": lambda: sum(sum(t) == 10 and t[0] < t[1] < t[2] for t in product(range(1, 7), repeat=3)) / 216,
    "geo-area": lambda: abs((8 - 1) * (9 - 2) - (3 - 1) * (5 - 2)) / 2,
    "geo-lattice": lambda: _lattice_inside([(0, 0), (12, 4), (5, 15)]),
    "geo-chord": lambda: 2 * math.sqrt(13**2 - 5**2),
    "geo-inradius": lambda: _heron(13, 14, 15) / 21,
    "geo-frustum": lambda: math.pi * 9 / 3 * (36 + 6 * 2 + 4),
    "geo-plane": lambda: abs(2 * 3 - 3 * (-1) + 6 * 4 - 5) / math.sqrt(4 + 9 + 36),
    "geo-hexagon": lambda: 6 * math.sqrt(3) / 4 * 10**2 - math.pi * (10 * math.sqrt(3) / 2) ** 2,
    "geo-ladder": lambda: math.sqrt(17**2 - 8**2) - math.sqrt(17**2 - (8 + 7) ** 2),
    "geo-diagonals": lambda: comb(15, 2) - 15,
    "la-determinant": lambda: _determinant(MATRIX),
    "la-rank": lambda: _rank([[1, 2, 3, 4], [2, 4, 6, 8], [1, 0, 1, 0], [3, 4, 7, 8]]),
    "la-trace": lambda: sum(_power([[1, 2, 0], [0, 1, 3], [1, 0, 1]], 4)[i][i] for i in range(3)),
    "la-eigen": lambda: max(
        x for x in range(-50, 50) if _determinant([[5 - x, 2, 0], [2, 5 - x, 0], [0, 0, 4 - x]]) == 0
    ),
    "la-inverse": lambda: -_determinant([[1, 0], [1, 2]]) / _determinant([[2, 1, 0], [1, 3, 1], [0, 1, 2]]),
    "la-least-squares": lambda: Fraction(4 * (0 * 1 + 1 * 3 + 2 * 4 + 3 * 8) - 6 * 16, 4 * (0 + 1 + 4 + 9) - 36),
    "la-projection": lambda: Fraction(3 * 1 + 4 * 2 + 5 * 2, 9) ** 2 * 9,
}
