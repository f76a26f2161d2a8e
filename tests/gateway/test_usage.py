"""Usage: the sums stay what they are while rows are rolled up, dropped and folded, whatever is killed in between."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import metrics, usage
from gateway.ledger import rollup
from gateway.ledger.keeper import Keeper
from gateway.ledger.reports import report, totals
from gateway.routing import Table
from gateway.store import Connection, connect, open_store, read_only
from gateway.usage import INSERT, Usage
from lifecycle.errors import Refused
from tests.waiting import until

DAY_S = 86400
THEN = 19_000 * DAY_S
GROUPS = ["key", "team", "model", "deployment", "provider", "day"]


def row(n: int, at: float, **changes: object) -> Usage:
    made = Usage(
        at=at, request_id=f"req-{n}", key_id=1 + n % 2, team="red" if n % 3 else "blue", asked="m",
        model=f"org/m{n % 2}", deployment_id="d1" if n % 4 else None,
        endpoint_id=1, provider="own" if n % 4 else "openai", stream=False,
        status=200 if n % 5 else 502, prompt_tokens=n, completion_tokens=2 * n, counted="backend", ttft_s=n / 64,
        duration_s=n / 32, cost=n / 128 if n % 7 else None, cost_estimated=False, cached_tokens=n // 2,
        reasoning_tokens=None, kind="chat",
    )  # fmt: skip
    return made._replace(**changes)


def insert(connection: Connection, *rows: Usage) -> None:
    connection.executemany(INSERT, rows)
    connection.commit()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, Connection]]:
    path = tmp_path / "gateway.db"
    open_store(path).close()
    connection = connect(path)
    yield path, connection
    connection.close()


STEPS = st.lists(st.sampled_from(["insert", "roll", "drop", "fold"]), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, most=st.integers(1, 7))
def test_no_step_changes_a_sum(tmp_path_factory: pytest.TempPathFactory, steps: list[str], most: int) -> None:
    """In any order and by any slice: reports by every group and Prometheus' counters say what all rows would say."""
    path = tmp_path_factory.mktemp("sums") / "gateway.db"
    open_store(path).close()
    connection, number = connect(path), 0
    plain: list[Usage] = []
    try:
        for step in steps:
            if step == "insert":
                # binary fractions: their sums are exact in whatever order they are added
                new = [row(n, THEN + n * 7000.0) for n in range(number, number + 5)]
                number += 5
                plain += new
                insert(connection, *new)
            elif step == "roll":
                rollup.roll(connection, most)
            elif step == "drop":
                rollup.drop(connection, THEN + 20 * 7000.0, most)
            else:
                rollup.fold_hours(connection, THEN + DAY_S)
        found = report(path, GROUPS)
        sums = metrics.read(path).sums
    finally:
        connection.close()
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert sum(one[name] for one in found) == sum(getattr(one, name) for one in plain)
    assert sum(one["requests"] for one in found) == len(plain)
    assert sum(one["failed"] for one in found) == sum(one.status >= 400 for one in plain)
    assert sum(one["unpriced"] for one in found) == sum(one.cost is None and one.status < 400 for one in plain)
    assert sum(one["cost"] for one in found) == sum(one.cost or 0 for one in plain)
    assert {one["day"] for one in found} == {time.strftime("%Y-%m-%d", time.gmtime(one.at)) for one in plain}
    for key, ever in sums.items():
        mine = [one for one in plain if (one.model, one.provider, one.status) == key]
        assert (ever["requests"], ever["duration_s"]) == (len(mine), sum(one.duration_s for one in mine))
        assert ever["ttft_le_4"] == sum(one.ttft_s <= 1 for one in mine)
    assert sum(ever["requests"] for ever in sums.values()) == len(plain)


def test_only_rolled_rows_are_dropped_and_never_the_newest(place: tuple[Path, Connection]) -> None:
    """What is in no sum stays however old it is; so does the newest row, or SQLite would give its id again."""
    path, connection = place
    insert(connection, *(row(n, THEN) for n in range(10)))
    assert rollup.drop(connection, THEN + 1) == 0
    assert rollup.roll(connection) == 10 and rollup.roll(connection) == 0
    assert rollup.drop(connection, THEN) == 0 and rollup.drop(connection, THEN + 1) == 9
    insert(connection, row(10, THEN + DAY_S))
    assert rollup.roll(connection) == 1
    assert sum(one["requests"] for one in totals(path)) == 11 and len(usage.rows(path)) == 2


def test_old_hours_become_days(place: tuple[Path, Connection]) -> None:
    """A day's rows of one key, team, model and deployment are one row afterwards; the day that runs is left alone."""
    path, connection = place
    insert(connection, *(row(8, THEN + hour * 3600) for hour in range(30)))
    rollup.roll(connection)
    before = report(path, ["model", "day"])
    while rollup.fold_hours(connection, THEN + 1.5 * DAY_S):
        pass
    assert connection.execute("SELECT count(*) FROM usage_hours").fetchone()[0] == 1 + 6
    assert report(path, ["model", "day"]) == before


def test_a_window_and_one_key(place: tuple[Path, Connection]) -> None:
    """To the hour, rolled up or not; of one key alone; an unknown group is refused and the known ones are named."""
    path, connection = place
    for at in (THEN, THEN + 3600, THEN + 7200):
        insert(connection, row(1, at), row(2, at))
    for _ in range(2):
        assert sum(one["requests"] for one in totals(path, "day", THEN + 3600, THEN + 7200)) == 2
        assert [one["requests"] for one in totals(path, "model", key_id=2)] == [3]
        rollup.roll(connection)
    with pytest.raises(Refused, match="colour") as refused:
        report(path, ["colour"])
    assert "team" in refused.value.advice


ROLLER = """
import sys
from pathlib import Path
from gateway.ledger import rollup
from gateway.store import connect
connection = connect(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    rollup.roll(connection, 3) or rollup.drop(connection, 1e12, 3) or rollup.fold_hours(connection, 1e12)
"""


def test_kill_9_in_the_middle_of_a_roll_up_loses_nothing(place: tuple[Path, Connection]) -> None:
    """Killed again and again while it rolls, drops and folds: no request is counted twice, none is lost."""
    path, connection = place
    count = 0
    for _ in range(5):
        insert(connection, *(row(n, THEN + n * 500.0) for n in range(count, count + 300)))
        count += 300
        roller = subprocess.Popen([sys.executable, "-c", ROLLER, str(path)], stdout=subprocess.PIPE, text=True)
        with roller:
            assert roller.stdout.readline() == "ready\n"
            mark = connection.execute("SELECT id FROM rolled").fetchone()[0]
            until(lambda mark=mark: _mark(path) > mark, 30, "it to be at work")
            os.kill(roller.pid, signal.SIGKILL)
        assert sum(one["requests"] for one in totals(path)) == count
        assert sum(one["prompt_tokens"] for one in totals(path)) == sum(range(count))
    while rollup.roll(connection):
        pass
    assert sum(one["requests"] for one in totals(path)) == count


def _mark(path: Path) -> int:
    connection = read_only(path)
    try:
        return connection.execute("SELECT id FROM rolled").fetchone()[0]
    finally:
        connection.close()


def test_the_keeper_of_a_worker(place: tuple[Path, Connection]) -> None:
    """One round rolls everything up and drops what is older than it shall be kept; an unreadable file is only said."""
    path, connection = place
    insert(connection, *(row(n, THEN + n) for n in range(1200)), row(1200, time.time()))

    async def rounds() -> None:
        keeper = Keeper(path, keep_days=30)
        await asyncio.to_thread(keeper.round)
        await keeper.close()
        broken = Keeper(path.parent / "no" / "such.db", keep_days=30)
        await asyncio.to_thread(broken.round)
        await broken.close()

    asyncio.run(rounds())
    assert len(usage.rows(path, 5000)) == 1
    assert sum(one["requests"] for one in totals(path)) == 1201
    assert b"dayzero_requests_total" in metrics.render(path, Table(), "")
