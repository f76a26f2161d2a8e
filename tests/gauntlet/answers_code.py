"""Programming questions: for each a solution that passes its tests, and a near miss that must not."""

SOLUTIONS: dict[str, tuple[str, str]] = {
    "code-merge-intervals": (
        """\
def merged(intervals):
    out = []
    for a, b in sorted(intervals):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out
""",
        """\
def merged(intervals):
    out = []
    for a, b in sorted(intervals):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out
""",
    ),
    "code-roman": (
        """\
def roman(n):
    if not 1 <= n <= 3999:
        raise ValueError(n)
    out = ''
    for value, letters in ((1000, 'M'), (900, 'CM'), (500, 'D'), (400, 'CD'), (100, 'C'),
                           (90, 'XC'), (50, 'L'), (40, 'XL'), (10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')):
        while n >= value:
            out += letters
            n -= value
    return out
""",
        """\
def roman(n):
    out = ''
    for value, letters in ((1000, 'M'), (500, 'D'), (100, 'C'), (50, 'L'), (10, 'X'), (5, 'V'), (1, 'I')):
        while n >= value:
            out += letters
            n -= value
    return out
""",
    ),
    "code-lru": (
        """\
class Recent:
    def __init__(self, size):
        self.size, self.kept = size, {}
    def put(self, key, value):
        self.kept.pop(key, None)
        self.kept[key] = value
        if len(self.kept) > self.size:
            del self.kept[next(iter(self.kept))]
    def get(self, key):
        if key not in self.kept:
            return None
        value = self.kept.pop(key)
        self.kept[key] = value
        return value
""",
        """\
class Recent:
    def __init__(self, size):
        self.size, self.kept = size, {}
    def put(self, key, value):
        self.kept[key] = value
        if len(self.kept) > self.size:
            del self.kept[next(iter(self.kept))]
    def get(self, key):
        return self.kept.get(key)
""",
    ),
    "code-topological": (
        """\
import heapq
def order(needs):
    tasks = set(needs) | {t for ts in needs.values() for t in ts}
    open_ = {t: len(set(needs.get(t, ()))) for t in tasks}
    ready = [t for t in tasks if not open_[t]]
    heapq.heapify(ready)
    out = []
    while ready:
        task = heapq.heappop(ready)
        out.append(task)
        for other in tasks:
            if task in needs.get(other, ()):
                open_[other] -= 1
                if not open_[other]:
                    heapq.heappush(ready, other)
    if len(out) < len(tasks):
        raise ValueError('a circle')
    return out
""",
        """\
def order(needs):
    out = []
    def visit(t):
        if t not in out:
            for n in sorted(needs.get(t, ())):
                visit(n)
            out.append(t)
    for t in sorted(needs):
        visit(t)
    return out
""",
    ),
    "code-csv-line": (
        """\
def fields(line):
    out, i = [], 0
    while True:
        field = ''
        if line[i:i + 1] == '"':
            i += 1
            while True:
                if line[i:i + 2] == '""':
                    field += '"'
                    i += 2
                elif line[i] == '"':
                    i += 1
                    break
                else:
                    field += line[i]
                    i += 1
        else:
            while i < len(line) and line[i] != ',':
                field += line[i]
                i += 1
        out.append(field)
        if i >= len(line):
            return out
        i += 1
""",
        """\
def fields(line):
    return [f.strip('"').replace('""', '"') for f in line.split(',')]
""",
    ),
    "code-knapsack": (
        """\
def best(things, room):
    most = [0] * (room + 1)
    for weight, value in things:
        for w in range(room, weight - 1, -1):
            most[w] = max(most[w], most[w - weight] + value)
    return most[room]
""",
        """\
def best(things, room):
    total = 0
    for weight, value in sorted(things, key=lambda t: -t[1] / t[0]):
        if weight <= room:
            room -= weight
            total += value
    return total
""",
    ),
    "code-bracket": (
        """\
def balanced(text):
    open_, quoted = [], False
    for c in text:
        if c == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif c in '([{':
            open_.append(c)
        elif c in ')]}':
            if not open_ or open_.pop() + c not in ('()', '[]', '{}'):
                return False
    return not open_ and not quoted
""",
        """\
def balanced(text):
    open_ = []
    for c in text:
        if c in '([{':
            open_.append(c)
        elif c in ')]}':
            if not open_ or open_.pop() + c not in ('()', '[]', '{}'):
                return False
    return not open_
""",
    ),
    "code-median-stream": (
        """\
import heapq
class Middle:
    def __init__(self):
        self.low, self.high = [], []
    def add(self, number):
        heapq.heappush(self.high, -heapq.heappushpop(self.low, -number))
        if len(self.high) > len(self.low):
            heapq.heappush(self.low, -heapq.heappop(self.high))
    def value(self):
        if not self.low:
            return None
        return float(-self.low[0] if len(self.low) > len(self.high) else (self.high[0] - self.low[0]) / 2)
""",
        """\
class Middle:
    def __init__(self):
        self.all = []
    def add(self, number):
        self.all.append(number)
    def value(self):
        return sorted(self.all)[len(self.all) // 2] if self.all else None
""",
    ),
    "code-matrix-spiral": (
        """\
def spiral(rows):
    rows, out = [list(r) for r in rows], []
    while rows and rows[0]:
        out += rows.pop(0)
        rows = [list(r) for r in zip(*rows)][::-1]
    return out
""",
        """\
def spiral(rows):
    out = []
    for i, row in enumerate(rows):
        out += row if i % 2 == 0 else row[::-1]
    return out
""",
    ),
    "code-parse-duration": (
        """\
import re
def seconds(text):
    found = re.fullmatch(r'(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?', text)
    if not text or found is None:
        raise ValueError(text)
    return sum(int(n or 0) * s for n, s in zip(found.groups(), (86400, 3600, 60, 1)))
""",
        """\
import re
def seconds(text):
    found = re.match(r'(?:(\\d+)d)?(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+)s)?$', text)
    if found is None:
        raise ValueError(text)
    return sum(int(n or 0) * s for n, s in zip(found.groups(), (86400, 3600, 60, 1)))
""",
    ),
    "code-shortest-path": (
        """\
import heapq
def cheapest(roads, start, end):
    near = {}
    for a, b, cost in roads:
        near.setdefault(a, []).append((cost, b))
        near.setdefault(b, []).append((cost, a))
    best, count, queue = {start: 0}, 0, [(0, 0, start)]
    while queue:
        cost, _, town = heapq.heappop(queue)
        if town == end:
            return cost
        if cost > best[town]:
            continue
        for more, other in near.get(town, ()):
            if cost + more < best.get(other, float('inf')):
                best[other] = cost + more
                count += 1
                heapq.heappush(queue, (cost + more, count, other))
    return None
""",
        """\
def cheapest(roads, start, end):
    near = {}
    for a, b, cost in roads:
        near.setdefault(a, []).append((cost, b))
    seen, queue = {start: 0}, [start]
    while queue:
        town = queue.pop(0)
        for more, other in near.get(town, ()):
            if other not in seen:
                seen[other] = seen[town] + more
                queue.append(other)
    return seen.get(end)
""",
    ),
    "code-diff": (
        """\
def changes(old, new):
    n, m = len(old), len(new)
    best = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            best[i][j] = best[i + 1][j + 1] + 1 if old[i] == new[j] else max(best[i + 1][j], best[i][j + 1])
    i = j = 0
    out = []
    while i < n or j < m:
        if i < n and j < m and old[i] == new[j]:
            out.append(('=', old[i])); i += 1; j += 1
        elif j == m or i < n and best[i + 1][j] >= best[i][j + 1]:
            out.append(('-', old[i])); i += 1
        else:
            out.append(('+', new[j])); j += 1
    return out
""",
        """\
def changes(old, new):
    out = []
    for i in range(max(len(old), len(new))):
        if i < len(old) and i < len(new) and old[i] == new[i]:
            out.append(('=', old[i]))
        else:
            if i < len(old): out.append(('-', old[i]))
            if i < len(new): out.append(('+', new[i]))
    return out
""",
    ),
}
