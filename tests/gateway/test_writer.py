"""How rows reach gateway.db: one transaction for all of a turn, by the loop itself unless somebody holds the lock."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.demand import ASKED
from gateway.store import connect, open_store
from gateway.writer import Writer

Story = Callable[[Writer, Path], Awaitable[None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    path = tmp_path / "gateway.db"
    open_store(path).close()

    def run(story: Story) -> None:
        async def whole() -> None:
            writer = Writer(path)
            try:
                await asyncio.wait_for(story(writer, path), 60)
            finally:
                await writer.close()

        asyncio.run(whole())

    return run


def written(path: Path) -> int:
    connection = connect(path)
    try:
        return connection.execute("SELECT count(*) FROM wakes").fetchone()[0]
    finally:
        connection.close()


def test_all_rows_of_one_turn_cost_one_transaction(tell) -> None:
    """A hundred requests that end together: one BEGIN, one COMMIT, and the thread is not woken."""

    async def story(writer: Writer, path: Path) -> None:
        said: list[str] = []
        writer._quick.set_trace_callback(said.append)
        await asyncio.gather(*(writer.commit(ASKED, (f"d{n}", 1.0)) for n in range(100)))
        assert [line for line in said if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
        assert writer._batches.empty() and written(path) == 100

    tell(story)


def test_a_lock_that_another_process_holds_does_not_hold_the_loop(tell) -> None:
    """The rows go to the thread, which waits; the loop goes on; when the lock is free all are written."""

    async def story(writer: Writer, path: Path) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        first = writer.commit(ASKED, ("d1", 1.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = writer.commit(ASKED, ("d2", 1.0))
        assert not first.done() and not second.done()
        other.execute("COMMIT")
        other.close()
        await first
        await second
        assert written(path) == 2 and writer.problem == ""

    tell(story)


def test_what_waits_is_written_before_the_end(tmp_path: Path) -> None:
    """Rows that nobody waits for are there when `close` returns."""
    path = tmp_path / "gateway.db"
    open_store(path).close()

    async def story() -> None:
        writer = Writer(path)
        for n in range(10):
            writer.put(ASKED, (f"d{n}", 1.0))
        await writer.close()

    asyncio.run(story())
    assert written(path) == 10
