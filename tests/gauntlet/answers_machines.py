"""The answers of the algorithm, database, network, cluster, logic and reading questions, computed again by program."""

import heapq
import ipaddress
import math
from datetime import date, timedelta
from functools import cache
from itertools import combinations, permutations, product

ROADS = {("A", "B"): 7, ("A", "C"): 3, ("C", "B"): 2, ("B", "D"): 4, ("C", "D"): 8, ("C", "E"): 9, ("D", "E"): 1,
         ("D", "F"): 9, ("E", "F"): 4}  # fmt: skip
CABLES = {("K", "L"): 4, ("K", "M"): 8, ("L", "M"): 9, ("L", "N"): 10, ("M", "N"): 2, ("M", "O"): 1, ("N", "P"): 7,
          ("O", "P"): 6, ("L", "O"): 8}  # fmt: skip
BEFORE = (("a", "c"), ("b", "c"), ("b", "d"), ("c", "e"), ("d", "f"))


def _common(a: str, b: str) -> int:
    @cache
    def best(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        return best(i + 1, j + 1) + 1 if a[i] == b[j] else max(best(i + 1, j), best(i, j + 1))

    return best(0, 0)


def _edits(a: str, b: str) -> int:
    @cache
    def cost(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, cost(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return cost(len(a), len(b))


def _heapified(values: list[int]) -> list[int]:
    negative = [-value for value in values]
    heapq.heapify(negative)
    return [-value for value in negative]


def _knapsack(items: list[tuple[int, int]], room: int) -> int:
    return max(
        sum(value for _, value in chosen)
        for size in range(len(items) + 1)
        for chosen in combinations(items, size)
        if sum(weight for weight, _ in chosen) <= room
    )


def _shortest(start: str, goal: str) -> int:
    near = {start: 0}
    for _ in range(10):
        for (a, b), length in ROADS.items():
            if a in near:
                near[b] = min(near.get(b, 10**9), near[a] + length)
    return near[goal]


def _spanning() -> int:
    places = sorted({place for cable in CABLES for place in cable})
    best = 10**9
    for chosen in combinations(CABLES, len(places) - 1):
        reached = {places[0]}
        for _ in places:
            reached |= {p for cable in chosen if reached & set(cable) for p in cable}
        if len(reached) == len(places):
            best = min(best, sum(CABLES[cable] for cable in chosen))
    return best


def _probing(keys: list[int], wanted: int) -> int:
    table: dict[int, int] = {}
    for key in keys:
        place = key % 11
        while place in table:
            place = (place + 1) % 11
        table[place] = key
    return next(place for place, key in table.items() if key == wanted)


def _copies(appends: int) -> int:
    capacity, copied = 1, 0
    for size in range(appends):
        if size == capacity:
            copied, capacity = copied + size, capacity * 2
    return copied


def _knaves() -> str:
    fits = []
    for a, b, c in product((True, False), repeat=3):
        knights = a + b + c
        if a == (knights < 3) and b == (a == c) and c == (knights == 2):
            fits.append("".join(name for name, knight in zip("ABC", (a, b, c), strict=True) if knight))
    assert len(fits) == 1
    return fits[0]


def _offices() -> str:
    fits = [
        row
        for row in permutations(("Hale", "Imre", "Jude", "Kaya", "Lind"))
        if row.index("Hale") + 1 == row.index("Kaya")
        and abs(row.index("Imre") - row.index("Jude")) == 2
        and row[0] != "Imre"
        and row[4] != "Imre"
        and row.index("Lind") > row.index("Jude")
        and row[0] != "Hale"
    ]
    assert len({row[2] for row in fits}) == 1, fits
    return fits[0][2]


def _boxes() -> str:
    fits = []
    for ring in ("red", "blue", "green", "white"):
        labels = (ring != "white", ring != "red", ring == "white", ring in ("green", "red"))
        if labels.count(False) == 1:
            fits.append(ring)
    assert len(fits) == 1, fits
    return fits[0]


def _crossing() -> int:
    """Four people, one lamp, two at a time: by search over all states."""
    times = (1, 3, 6, 8)
    best = {(frozenset(range(4)), True): 0}
    todo = [(0, 0, frozenset(range(4)), True)]
    count = 0
    while todo:
        spent, _, here, near = heapq.heappop(todo)
        if not here and not near:
            return spent
        side = here if near else frozenset(range(4)) - here
        for size in (1, 2):
            for walkers in combinations(side, size):
                after = here - set(walkers) if near else here | set(walkers)
                cost = spent + max(times[w] for w in walkers)
                if cost < best.get((after, not near), 10**9):
                    best[(after, not near)] = cost
                    count += 1
                    heapq.heappush(todo, (cost, count, after, not near))
    raise AssertionError("nobody arrives")


def _rising() -> int:
    return sum(a < b < c < d and a + b + c + d == 20 for a, b, c, d in product(range(10), repeat=4) if a)


def _orders() -> int:
    return sum(all(o.index(x) < o.index(y) for x, y in BEFORE) for o in permutations("abcdef"))


def _weekday() -> str:
    day = date(2024, 2, 5) + timedelta(days=100)
    return day.strftime("%A")


def _queue() -> str:
    fits = [
        q
        for q in permutations("NOPQR")
        if q.index("N") == q.index("O") + 1 and q.index("P") < q.index("O") and q[4] == "Q"
        and q.index("R") == q.index("P") + 1
    ]  # fmt: skip
    assert len(fits) == 1
    return {"O": "Otto"}[fits[0][2]]


def _checksum(words: tuple[int, ...]) -> int:
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


ANSWERS = {
    "logic-order": _queue,
    "letters": lambda: str("The seven geese never left the reeds".count("e")),
    "al-inversions": lambda: sum(a > b for a, b in combinations((5, 3, 8, 1, 9, 2, 7), 2)),
    "al-common": lambda: _common("ABCBDABG", "BDCABAGB"),
    "al-edits": lambda: _edits("gauntlet", "cauldron"),
    "al-heap": lambda: _heapified([4, 10, 3, 5, 1, 8, 12])[2],
    "al-knapsack": lambda: _knapsack([(5, 10), (4, 40), (6, 30), (3, 50), (2, 14)], 11),
    "al-shortest": lambda: _shortest("A", "F"),
    "al-spanning": _spanning,
    "al-trees": lambda: math.comb(14, 7) // 8,
    "al-probing": lambda: _probing([22, 33, 13, 24, 11, 35], 35),
    "al-orders": _orders,
    "al-doubling": lambda: _copies(1000),
    "al-search": lambda: next(n for n in range(1, 40) if 2**n - 1 >= 1_000_000),
    "lo-knaves": _knaves,
    "lo-offices": _offices,
    "lo-boxes": _boxes,
    "lo-bridge": _crossing,
    "lo-rising": _rising,
    "lo-weekday": _weekday,
    "db-fanout": lambda: math.ceil(math.log(50_000_000, 200)),
    "db-amdahl": lambda: 1 / (0.08 + 0.92 / 32),
    "db-little": lambda: 1200 * 0.045,
    "db-bloom": lambda: (1 - math.exp(-7 * 1e6 / 1e7)) ** 7 * 100,
    "db-quorum": lambda: next(r for r in range(1, 8) if r + 3 > 7),
    "db-sequential": lambda: 4e9 / 250e6 + 1000 * 0.008,
    "nw-hosts": lambda: ipaddress.ip_network("10.20.32.0/21").num_addresses - 2,
    "nw-broadcast": lambda: str(ipaddress.ip_network("172.19.77.200/27", strict=False).broadcast_address),
    "nw-window": lambda: 65535 * 8 / 0.080 / 1e6,
    "nw-checksum": lambda: _checksum((0x4500, 0xFF3C, 0x1C46)),
    "nw-frames": lambda: math.ceil(1_000_000 / (1500 - 20 - 20)),
    "nw-summary": lambda: int(
        str(next(ipaddress.collapse_addresses(ipaddress.ip_network(f"192.168.{n}.0/24") for n in range(16, 24)))).split(
            "/"
        )[1]
    ),
    "cl-weights": lambda: 70e9 * 2 / 4 / 1e9,
    "cl-cache": lambda: 2 * 48 * 8 * 128 * 2 * 32768 / 2**30,
    "cl-allreduce": lambda: 2 * 7 / 8 * 512,
    "cl-bubble": lambda: (4 - 1) / (16 + 4 - 1) * 100,
    "cl-decode": lambda: 3.2e12 / (8e9 * 2),
    "cl-array": lambda: math.ceil(100 / 8) * 12,
    "cl-backfill": lambda: 13 * 60 + 40 - (11 * 60 + 25),
    "cl-hours": lambda: 3 * 8 * 2.5 * 6,
    "rd-lamps": lambda: (48 - 48 // 3 - 5) - (48 - 48 // 3 - 5) // 2,
    "rd-initials": lambda: "".join(word[0] for word in "Many old oaks neither sway nor topple".split()).lower(),
}
