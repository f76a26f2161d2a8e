"""`dayzero check database` against a real Postgres: each thing that may be wrong, and what to do about it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bot.checks import database as part
from gateway.shared.looking import Seen, look
from lab.postgres.server import Server, missing, temporary
from lifecycle.settings import Settings, Shared, load
from tests.gateway.stores import fresh_database

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

FINE = Seen(16, False, True, True, True, (), 0.1, 0.01, "dayzero")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as server:
        yield server


@pytest.fixture
def shared(server: Server) -> Iterator[Shared]:
    with fresh_database(server, "checked") as where:
        yield where


def settings(folder: Path, url: str = "") -> Settings:
    path = folder / "dayzero.toml"
    path.write_text('[site]\nstate = "state"\nshared = "shared"\n')
    return load(path, {"DAYZERO_GATEWAY_DATABASE": url} if url else {})


def test_one_that_is_well(tmp_path: Path, shared: Shared) -> None:
    """Reached, written, ours, on time; and none set is no fault."""
    found = part.database(settings(tmp_path, shared.url))
    assert found.ok and "its tables are ours" in found.sentence
    assert part.database(settings(tmp_path)).ok is None


def test_what_is_wrong_is_named_with_its_next_step(tmp_path: Path, server: Server, shared: Shared) -> None:
    """A user without rights, an empty database he may not fill, one that takes no writes, and nobody there."""
    with psycopg.connect(shared.url, autocommit=True) as connection, contextlib.ExitStack() as stack:
        connection.execute("CREATE ROLE poor LOGIN")
        stack.callback(lambda: connection.execute("DROP OWNED BY poor; DROP ROLE poor"))
        poor = shared.url.replace("postgres@", "poor@")
        found = part.database(settings(tmp_path, poor))
        assert not found.ok and "lacks rights" in found.sentence and "GRANT SELECT, INSERT" in found.next_step
        connection.execute("DELETE FROM dayzero_schema")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO poor")
        found = part.database(settings(tmp_path, poor))
        assert not found.ok and "another version" in found.sentence and "GRANT CREATE" in found.next_step
        connection.execute("GRANT CREATE ON SCHEMA public TO poor")
        assert part.database(settings(tmp_path, poor)).ok
        connection.execute("ALTER ROLE poor SET default_transaction_read_only = on")
        found = part.database(settings(tmp_path, poor))
        assert not found.ok and "takes no writes" in found.sentence
    found = part.database(settings(tmp_path, "postgresql://dayzero:hunter2@127.0.0.1:9/dayzero"))
    assert not found.ok and "DAYZERO_GATEWAY_DATABASE" in found.next_step and "hunter2" not in found.sentence


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"skew_s": 30.0}, "30 s ahead"),
        ({"skew_s": -30.0}, "30 s behind"),
        ({"version": 13}, "Postgres 13"),
    ],
)
def test_what_a_look_may_see(
    tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch, seen: dict, said: str
) -> None:
    """A clock that is wrong, a server that is too old."""
    monkeypatch.setattr("gateway.shared.looking.look", lambda url: Seen(**{**FINE.__dict__, **seen}))
    found = part.database(settings(tmp_path, shared.url))
    assert not found.ok and said in found.sentence


def test_a_look_measures_the_clock(shared: Shared) -> None:
    """On one machine both have the same."""
    seen = look(shared.url)
    assert abs(seen.skew_s) <= seen.unsure_s + 0.5
