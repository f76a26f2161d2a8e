"""One suite for both stores: a file, and a real Postgres. What holds for the one holds for the other."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import keys, metrics, usage
from gateway.auth import store as auth
from gateway.auth.key import Key
from gateway.auth.limiter import Limiter
from gateway.auth.limits import Limits
from gateway.auth.ring import KeyRing
from gateway.call import Call
from gateway.errors import ApiError
from gateway.ledger import rollup
from gateway.ledger.reports import report, totals
from gateway.shared.postgres import translated
from gateway.shared.schema import wanted
from gateway.store import Where, begin, connect, open_store, read_only
from gateway.usage import INSERT
from gateway.writer import Writer
from lab.postgres.server import Server, missing, temporary
from lifecycle.errors import NotFound, Refused
from lifecycle.settings import Shared, load
from tests.gateway.stores import fresh_database, fresh_file
from tests.gateway.test_usage import GROUPS, THEN, row

SKIPPED = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=SKIPPED)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Where]:
    """An empty, migrated store of each kind."""
    if request.param == "sqlite":
        yield fresh_file(tmp_path)
    else:
        with fresh_database(request.getfixturevalue("server"), "one") as shared:
            yield shared


def test_keys_from_birth_to_revocation(where: Where) -> None:
    """Issued, known at once to a ring that runs, rotated with grace, revoked; each change has its audit row."""
    db = open_store(where)
    ring = KeyRing(where)
    key = keys.issue(db, "alice", ["stable"], "red")
    assert ring.caller(key, time.time()).name == "alice"
    _, newer = keys.rotate(db, "alice", grace_s=60)
    ring.refresh()
    assert ring.caller(newer, time.time()) and ring.caller(key, time.time())
    assert ring.caller(key, time.time() + 61) is None
    keys.revoke(db, "alice")
    ring.refresh()
    assert ring.caller(newer, time.time()) is None
    with pytest.raises(NotFound):
        keys.revoke(db, "alice")
    assert [one["action"] for one in auth.audited(db.conn)] == ["key.revoked", "key.rotated", "key.issued"]
    assert [one.revoked_at is not None for one in keys.list_keys(db)] == [True]
    ring.close()
    db.close()


def test_teams_and_what_they_spent(where: Where) -> None:
    """A team narrows its keys; what it spent counts rows and sums alike."""
    db = open_store(where)
    key = keys.issue(db, "alice", ["stable", "preview"], "red")
    keys.set_team(db, "red", tags=["stable"], limits={"tokens_per_day": 100})
    keys.set_team(db, "red", models=["org/*"])
    ring = KeyRing(where)
    assert ring.caller(key, time.time()).tags == {"stable"} and list(auth.teams(db.conn)) == ["red"]
    for n in (10, 20):
        with begin(db.conn):
            db.conn.execute(INSERT, row(n, THEN + 3600, team="red", cost=0.5))
        assert auth.spent(db.conn, "team", "red", THEN)[0] == 3 * (10 if n == 10 else 30)
        rollup.roll(db.conn)
    assert auth.spent(db.conn, "team", "red", THEN) == (90, 1.0)
    assert auth.last_used(db.conn)[1] >= THEN
    keys.drop_team(db, "red")
    ring.refresh()
    assert ring.caller(key, time.time()).tags == {"stable", "preview"}
    ring.close()
    db.close()


def test_a_prefix_is_taken_once(where: Where) -> None:
    """The second row with it is refused with the error that `issue` waits for, and nothing of it is left."""
    db = open_store(where)
    fields = {"prefix": "dz-00000000", "name": "x", "tags": ["stable"], "created_at": 1.0, "created_by": "us"}
    with begin(db.conn):
        auth.insert_key(db.conn, "hash", fields)
    with pytest.raises(auth.Taken), begin(db.conn):
        auth.audit(db.conn, 1.0, "us", "key.issued", "x", {})
        auth.insert_key(db.conn, "hash", fields)
    assert auth.audited(db.conn) == [] and not db.conn.in_transaction
    db.close()


def test_reports_say_the_same_rolled_up_or_not(where: Where) -> None:
    """By every group; dropped and folded as well. Prometheus' counters add up to the rows."""
    db = open_store(where)
    keys.issue(db, "alice", ["stable"])
    with begin(db.conn):
        db.conn.executemany(INSERT, [row(n, THEN + n * 3600.0) for n in range(100)])
    wanted_of = {by: report(where, [by]) for by in GROUPS}
    whole = report(where, GROUPS, THEN, THEN + 50 * 3600, key_id=1)
    steps = (lambda: rollup.roll(db.conn, 7), lambda: rollup.drop(db.conn, THEN + 9e6, 7))
    for step in steps:
        while step():
            assert sum(one["requests"] for one in totals(where)) == 100
        assert report(where, GROUPS, THEN, THEN + 50 * 3600, key_id=1) == whole
    while rollup.fold_hours(db.conn, THEN + 9e6):
        pass
    assert {by: report(where, [by]) for by in GROUPS} == wanted_of
    assert sum(one["requests"] for one in metrics.read(where).sums.values()) == 100
    assert len(usage.rows(where)) == 1
    with pytest.raises(Refused):
        report(where, ["colour"])
    db.close()


def test_rolling_up_beside_writers_loses_nothing(where: Where) -> None:
    """Three write, two roll up, all at once: each row is in the sums once, also those that became visible late."""
    writing = threading.Barrier(3)
    done = threading.Event()

    def write(start: int) -> None:
        connection = connect(where)
        writing.wait(60)
        for n in range(start, start + 40):
            with begin(connection):
                connection.executemany(INSERT, [row(10 * n + i, THEN + n) for i in range(10)])
        connection.close()

    def roll() -> None:
        connection = connect(where)
        while not done.is_set():
            rollup.roll(connection, 30)
        connection.close()

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 1000, 2000)]
    rollers = [threading.Thread(target=roll) for _ in range(2)]
    for thread in (*writers, *rollers):
        thread.start()
    for thread in writers:
        thread.join(120)
    done.set()
    for thread in rollers:
        thread.join(120)
    connection = connect(where)
    while rollup.roll(connection):
        pass
    assert connection.execute("SELECT sum(requests) FROM usage_hours").fetchone()[0] == 1200
    assert connection.execute("SELECT sum(requests) FROM usage_ever").fetchone()[0] == 1200
    connection.close()


def test_the_writer_commits_what_is_good(where: Where) -> None:
    """Rows of many requests in one transaction; one that the store refuses fails alone and the others are there."""

    async def write() -> list:
        writer = Writer(where)
        good = [writer.commit(INSERT, row(n, THEN)) for n in range(50)]
        bad = writer.commit(INSERT, row(50, THEN)._replace(model=None))
        found = await asyncio.wait_for(asyncio.gather(*good, bad, return_exceptions=True), 60)
        assert writer.problem == ""
        await writer.close()
        return found

    found = asyncio.run(write())
    assert found[:50] == [None] * 50 and isinstance(found[50], sqlite3.Error)
    assert len(usage.rows(where)) == 50


def test_a_reader_writes_nothing(where: Where) -> None:
    """And what it reads in one transaction is of one moment."""
    reader, writer = read_only(where), connect(where)
    with pytest.raises(sqlite3.Error):
        reader.execute("UPDATE rolled SET id = 7")
    reader.rollback()
    reader.execute("BEGIN")
    before = reader.execute("SELECT id FROM rolled").fetchone()["id"]
    with begin(writer):
        writer.execute("UPDATE rolled SET id = ?", (7,))
    assert reader.execute("SELECT id FROM rolled").fetchone()[0] == before
    reader.execute("ROLLBACK")
    assert reader.execute("SELECT id FROM rolled").fetchone()[0] == 7
    reader.close()
    writer.close()


@SKIPPED
def test_several_hosts_may_make_the_schema_at_once(server: Server) -> None:
    """Eight start on an empty database; a newer version finds its columns missing and adds them."""
    with fresh_database(server, "many") as where:
        connection = connect(where)
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        threads = [threading.Thread(target=lambda: open_store(where).close()) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        connection.execute("ALTER TABLE usage DROP COLUMN kind")
        connection.execute("DELETE FROM dayzero_schema")
        open_store(where).close()
        assert connection.execute("SELECT count(kind) FROM usage").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM rolled").fetchone()[0] == 1
        connection.close()


@SKIPPED
def test_both_have_the_same_tables_and_columns(server: Server, tmp_path: Path) -> None:
    """Whoever adds a migration for the one has added it for the other."""
    here = connect(fresh_file(tmp_path))
    names = {name for (name,) in here.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    mine = {(t, c[1]) for t in names - {"_sqlite_migrations"} for c in here.execute(f"PRAGMA table_info({t})")}
    here.close()
    with fresh_database(server, "same") as where:
        there = connect(where)
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        theirs = {(one[0], one[1]) for one in there.execute(query)}
        there.close()
    assert theirs - {("dayzero_schema", "digest")} == mine


@SKIPPED
def test_a_server_that_went_away_is_an_error_that_may_pass(server: Server) -> None:
    """The connection says so, and nothing in the message is a password."""
    with fresh_database(server, "gone") as where:
        connection = connect(where)
        other = connect(where)
        pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        other.execute("SELECT pg_terminate_backend(?)", (pid,))
        other.close()
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT 1")
        assert connection.broken
        connection.close()
    with pytest.raises(sqlite3.OperationalError) as error:
        connect(Shared("postgresql://someone:secretword@127.0.0.1:1/none"))
    assert "secretword" not in str(error.value) + repr(Shared("postgresql://someone:secretword@h/x"))


def test_statements_in_the_words_of_postgres() -> None:
    """Marks, whole numbers by truncation, a percent sign that is none of psycopg's, the beginning of a transaction."""
    assert translated("SELECT hour % 24 FROM t WHERE a = ?") == "SELECT hour %% 24 FROM t WHERE a = %s"
    cast = "SELECT CAST(trunc((at / 3600)::double precision) AS BIGINT)"
    assert translated("SELECT CAST(at / 3600 AS INTEGER)") == cast
    assert translated("BEGIN IMMEDIATE") == "BEGIN"
    assert all("IF NOT EXISTS" in one or "OR REPLACE" in one or "ON CONFLICT" in one for one in wanted())


def test_the_address_comes_from_the_environment(tmp_path: Path) -> None:
    """A secret: never out of the file; without it the store is the file."""
    (tmp_path / "dayzero.toml").write_text("")
    found = load(tmp_path / "dayzero.toml", {"DAYZERO_GATEWAY_DATABASE": "postgresql://u:q7Zx@h/d"})
    assert found.gateway_store == Shared("postgresql://u:q7Zx@h/d") and "q7Zx" not in repr(found)
    assert load(tmp_path / "dayzero.toml", {}).gateway_store == found.gateway_path


@SKIPPED
def test_budgets_hear_of_other_hosts(server: Server, tmp_path: Path) -> None:
    """What another host's callers spent of a team's day is in the shared store: the next look refuses here, too."""
    key = Key(1, "dz-00000000", "alice", "red", frozenset({"stable"}), 0.0, "us", None, None,
              team_limits=Limits(tokens_per_day=1000))  # fmt: skip
    with fresh_database(server, "budgets") as where:
        limiter = Limiter(tmp_path / "board", fresh_file(tmp_path), hear=lambda *_: None)
        limiter.everywhere = where

        def ask() -> None:
            call = Call("chat", key, "m", {"messages": [], "max_tokens": 10}, False, False)
            limiter.before(call)
            limiter.after(call)

        ask()
        there = connect(where)
        with begin(there):
            there.execute(INSERT, row(2000, time.time(), team="red", key_id=9))
        there.close()
        ask()
        asyncio.run(limiter.check())
        with pytest.raises(ApiError) as refused:
            ask()
        assert refused.value.status == 429
        limiter.close()
