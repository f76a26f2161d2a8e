"""Roll-up and retention, in slices: each is one short transaction, so the writer of requests waits for milliseconds.

What a kill -9 interrupts was not done; the next one does it. Several workers may do this at once: the mark `rolled` is
read inside the transaction that moves it, so no row is added twice.
"""

from gateway.ledger.sums import (
    EVER_OF,
    EVER_SUMS,
    HOURS_OF,
    HOURS_SUMS,
    add_to,
    ever_of_rows,
    hours_of_rows,
)
from gateway.store import Connection, begin

SLICE = 500
"""Rows in one transaction."""

DAY_S = 86400

_BETWEEN = "id > ? AND id <= ?"
_INTO_HOURS = add_to("usage_hours", HOURS_OF, HOURS_SUMS, hours_of_rows(_BETWEEN))
_INTO_EVER = add_to("usage_ever", EVER_OF, EVER_SUMS, ever_of_rows(_BETWEEN))

# The newest row stays whatever its age: SQLite gives its id again otherwise, and that would be below `rolled`.
_DROP = """
    DELETE FROM usage WHERE id IN (
        SELECT id FROM usage WHERE at < ? AND id <= (SELECT id FROM rolled) AND id < (SELECT max(id) FROM usage)
        ORDER BY at LIMIT ?)"""

_DROP_SHIPPED = _DROP.replace("AND id <", "AND id <= (SELECT id FROM shipped) AND id <", 1)

_DAYS = (
    "SELECT CAST(hour / 24 AS INTEGER) * 24, key_id, team, model, deployment_id, provider, "
    + ", ".join(f"sum({name})" for name in HOURS_SUMS)
    + " FROM usage_hours WHERE hour >= ? AND hour < ?"
    " GROUP BY CAST(hour / 24 AS INTEGER) * 24, key_id, team, model, deployment_id, provider"
)


def roll(connection: Connection, most: int = SLICE) -> int:
    """Add the oldest rows that are in no sum yet to the sums; how many."""
    with begin(connection, "usage"):
        done = connection.execute("SELECT id FROM rolled").fetchone()[0]
        some = f"SELECT id FROM usage WHERE id > ? ORDER BY id LIMIT {most:d}"
        last, count = connection.execute(f"SELECT max(id), count(*) FROM ({some}) AS oldest", (done,)).fetchone()
        if count:
            connection.execute(_INTO_HOURS, (done, last))
            connection.execute(_INTO_EVER, (done, last))
            connection.execute("UPDATE rolled SET id = ?", (last,))
    return count


def drop(connection: Connection, before: float, most: int = SLICE, shipping: bool = False) -> int:
    """Delete rows older than `before` (epoch seconds) that are in the sums, with `shipping` in the shared store too."""
    with begin(connection):
        return connection.execute(_DROP_SHIPPED if shipping else _DROP, (before, most)).rowcount


def fold_hours(connection: Connection, before: float) -> int:
    """Make one row of the 24 of each day that ended before that moment, one day at a time; how many rows went."""
    with begin(connection):
        day = connection.execute(
            "SELECT min(CAST(hour / 24 AS INTEGER)) FROM usage_hours WHERE hour < ? AND hour % 24 <> 0",
            (int(before // DAY_S) * 24,),
        ).fetchone()[0]
        if day is None:
            return 0
        span = (day * 24, day * 24 + 24)
        columns = ", ".join((*HOURS_OF, *HOURS_SUMS))
        sums = connection.execute(_DAYS, span).fetchall()
        went = connection.execute("DELETE FROM usage_hours WHERE hour >= ? AND hour < ?", span).rowcount
        marks = ", ".join("?" * len(HOURS_OF + tuple(HOURS_SUMS)))
        connection.executemany(f"INSERT INTO usage_hours ({columns}) VALUES ({marks})", [tuple(row) for row in sums])
        return went - len(sums)
