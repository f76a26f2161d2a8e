"""How often limits refused somebody, of all workers and over restarts: what a worker counted goes to the ledger."""

import asyncio
from collections import Counter

from gateway.writer import Writer

EVERY_S = 1.0
ADD = (
    "INSERT INTO refused (whose, what, requests) VALUES (?, ?, ?)"
    " ON CONFLICT (whose, what) DO UPDATE SET requests = refused.requests + excluded.requests"
)


class Refused:
    """`counted`: (the kind of whose limit it is, which limit) → how often, since this worker began."""

    def __init__(self, counted: Counter[tuple[str, str]], writer: Writer):
        self._counted = counted
        self._written: Counter[tuple[str, str]] = Counter()
        self._writer = writer

    def write(self) -> None:
        """What came since the last time. A refusal is a crowd's doing: it must not cost a transaction each."""
        for subject, count in (self._counted - self._written).items():
            self._writer.put(ADD, (*subject, count))
        self._written = Counter(self._counted)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.write()
