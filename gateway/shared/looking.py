"""What a look at the shared store says of it, without changing anything."""

import time
from dataclasses import dataclass

from gateway.shared.postgres import Connection
from gateway.shared.schema import digest, tables

NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")
OLDEST = 14
"""Of Postgres: the first that can replace a trigger."""


@dataclass(frozen=True)
class Seen:
    """`skew_s`: how far its clock is ahead of ours, give or take `unsure_s`. `lacking`: rights, as GRANT names them."""

    version: int
    read_only: bool
    current: bool
    made: bool
    may_make: bool
    lacking: tuple[str, ...]
    skew_s: float
    unsure_s: float
    user: str


def look(url: str) -> Seen:
    """StoreError when it can't be reached or asked."""
    store = Connection(url)
    try:
        began = time.time()
        clock = float(store.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0])
        took = time.time() - began
        version, read_only, user, may_make = store.execute(
            "SELECT current_setting('server_version_num'), current_setting('transaction_read_only'), current_user,"
            " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
        ).fetchone()
        there = {row[0] for row in store.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
            " UNION SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)")}  # fmt: skip
        made = "dayzero_schema" in there
        lacking = [
            f"{right} ON {table}"
            for table in ("dayzero_schema", *tables())
            if table in there and made
            for right in NEEDED
            if not store.execute("SELECT has_table_privilege(?, ?)", (table, right)).fetchone()[0]
        ]
        current = made and "SELECT ON dayzero_schema" not in lacking and store.execute(
            "SELECT 1 FROM dayzero_schema WHERE digest = ?", (digest(),)).fetchone() is not None  # fmt: skip
    finally:
        store.close()
    return Seen(
        int(version) // 10000, read_only == "on", current, made, may_make, tuple(lacking),
        clock - (began + took / 2), took / 2, user,
    )  # fmt: skip
