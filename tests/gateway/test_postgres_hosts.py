"""Two hosts with a gateway each, over one real Postgres: keys, routing and usage are one; neither waits for it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import keys, usage
from gateway.ledger.reports import totals
from gateway.registry import Registry
from gateway.shared.joining import join
from gateway.store import begin, connect, open_store
from gateway.usage import INSERT
from lab.postgres.server import Server, missing, temporary
from lifecycle.errors import BadSettings
from lifecycle.settings import Settings, Shared, load
from tests.gateway.backend import Backend
from tests.gateway.stores import fresh_database, fresh_file
from tests.gateway.test_usage import THEN, row
from tests.gateway.world import Gateway, Ledger
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ASK = [{"role": "user", "content": "Where is Brno?"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as server:
        yield server


@pytest.fixture
def shared(server: Server) -> Iterator[Shared]:
    with fresh_database(server, "hosts") as where:
        yield where


class Host:
    def __init__(self, folder: Path, shared: Shared, follows: bool):
        folder.mkdir()
        lines = ['[site]\nstate = "state"\nshared = "shared"\n[gateway]\nport = 0', f"follows = {json.dumps(follows)}"]
        (folder / "dayzero.toml").write_text("\n".join(lines))
        self.folder = folder
        self.environment = {"DAYZERO_GATEWAY_DATABASE": shared.url}
        self.settings: Settings = load(folder / "dayzero.toml", self.environment)

    def run(self) -> Gateway:
        return Gateway(self.folder, self.environment)


def status(gateway: Gateway, key: str) -> int:
    body = {"model": "org/one", "messages": ASK}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code


@pytest.fixture
def hosts(tmp_path: Path, shared: Shared) -> Iterator[tuple[Host, Host, Backend, Ledger]]:
    """The bot's host, with a ledger that has one model, and one that follows."""
    first, second = Host(tmp_path / "one", shared, False), Host(tmp_path / "two", shared, True)
    ledger = Ledger(first.settings.ledger_path)
    backend = Backend("/w").start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    yield first, second, backend, ledger
    backend.stop()
    ledger.close()


def test_keys_routing_and_usage_are_one(hosts: tuple, shared: Shared) -> None:
    """A key issued in one place opens both and is refused by both; a model of the bot's host is served by the other;
    the bot sees both workers; usage of both is in one report, after kill -9 of both right behind the last answer."""
    first, second, backend, ledger = hosts
    with contextlib.ExitStack() as stack:
        gateways = [host.run() for host in (first, second)]
        for gateway in gateways:
            stack.callback(gateway.stop)
        db = open_store(shared)
        stack.callback(db.close)
        key = keys.issue(db, "alice", ["stable"], "red")
        for gateway in gateways:
            until(lambda gateway=gateway: status(gateway, key) == 200, 30, "the key and the model to be known")
        registry = Registry(first.settings)
        until(lambda: len(registry.generations()) == 2, 30, "both workers to be seen")
        other = Backend("/v").start()
        stack.callback(other.stop)
        ledger.deploy("two", "org/two")
        ledger.serve("two", other.url, "/v")
        until(lambda: registry.serves(ledger.generation), 30, "both to have taken it over")
        assert gateways[1].client(key).chat.completions.create(model="org/two", messages=ASK).choices
        keys.revoke(db, "alice")
        for gateway in gateways:
            until(lambda gateway=gateway: status(gateway, key) == 401, 30, "the key to be refused")
        again = keys.issue(db, "bob", ["stable"], "red")
        for gateway in gateways:
            until(lambda gateway=gateway: status(gateway, again) == 200, 30, "the new key to be known")
        for gateway in gateways:
            gateway.kill()
    for host in (first, second):
        gateway = host.run()
        assert gateway.stop() == 0
    mine = sum(len(usage.rows(host.settings.gateway_path, 1000)) for host in (first, second))
    found = {one["what"]: one["requests"] for one in totals(shared)}
    assert found["org/two"] == 1 and sum(found.values()) == mine == len(backend.seen) + 1
    with contextlib.closing(open_store(shared)) as db:
        assert [one.name for one in keys.list_keys(db) if one.last_used_at] == ["bob", "alice"]


def test_while_postgres_is_away_the_gateway_answers(hosts: tuple, shared: Shared, server: Server) -> None:
    """Known keys go on, also after a restart; rows wait here and arrive once when it is back."""
    first = hosts[0]
    gateway = first.run()
    with contextlib.closing(open_store(shared)) as db:
        key = keys.issue(db, "alice", ["stable"])
    until(lambda: status(gateway, key) == 200, 30, "the key to be known")
    server.stop("immediate")
    try:
        assert status(gateway, key) == 200
        until(lambda: gateway.said("shared.away"), 30, "it to be noticed")
        assert gateway.stop() == 0
        gateway = first.run()
        assert status(gateway, key) == 200
    finally:
        server.start()
    until(lambda: sum(one["requests"] for one in totals(shared)) == 3, 60, "the rows to arrive")
    assert gateway.stop() == 0
    assert sum(one["requests"] for one in totals(shared)) == 3


def test_a_host_brings_what_it_has(tmp_path: Path, shared: Shared) -> None:
    """Keys, audit and sums fill an empty store, rows follow; new keys get new ids; a second time changes nothing."""
    path = fresh_file(tmp_path)
    with contextlib.closing(open_store(path)) as db:
        key = keys.issue(db, "alice", ["stable"], "red")
        with begin(db.conn):
            db.conn.executemany(INSERT, [row(n, THEN) for n in range(5)])
            sums = "0, 1, '', 'old', '', 'own', 7, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0"
            db.conn.execute(f"INSERT INTO usage_hours SELECT {sums}")
        local = db.conn
        for _ in range(2):
            with contextlib.closing(connect(shared)) as there:
                join(local, there)
        with contextlib.closing(open_store(shared)) as there:
            assert keys.named(there, key[:11]).name == "alice"
            keys.issue(there, "bob", ["stable"])
            assert {one.id for one in keys.list_keys(there)} == {1, 2}
        assert [one["what"] for one in totals(shared)] == ["old"]


def test_a_host_with_other_keys_is_refused(tmp_path: Path, shared: Shared) -> None:
    """Two hosts with keys of their own can't become one by chance: the sentence says what to do, nothing is dropped."""
    with contextlib.closing(open_store(shared)) as db:
        keys.issue(db, "alice", ["stable"])
    host = Host(tmp_path / "other", shared, False)
    with contextlib.closing(open_store(host.settings.gateway_path)) as db:
        keys.issue(db, "bob", ["stable"])
        with contextlib.closing(connect(shared)) as there, pytest.raises(BadSettings, match="would be lost"):
            join(db.conn, there)
        assert [one.name for one in keys.list_keys(db)] == ["bob"]
