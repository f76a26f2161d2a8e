"""The ledger: compare-and-set, events beside every move, intentions that are unique, routing that counts."""

import sqlite3
import threading

import pytest

from lifecycle import actions, queries
from lifecycle.errors import NotFound, Refused, WrongMove
from lifecycle.ledger import Ledger
from tests.lifecycle.town import SHA, Town, TownClock, plan


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.ledger.close()


def offered(town: Town, model: str = "acme/Tiny-Good"):
    town.ledger.found("model", model, SHA)
    release = queries.release_of(town.ledger.connection, "model", model, SHA)
    town.ledger.learn(release, None, plan(model))
    town.ledger.move_release(release, "offered")
    return queries.release(town.ledger.connection, release.id)


def test_a_move_is_written_with_its_event(town: Town) -> None:
    """One move, one event, both with the same states; the second mover loses quietly."""
    release = offered(town)
    assert town.ledger.move_release(release, "skipped", by="alice")
    assert not town.ledger.move_release(release, "approved", by="bob"), "the row is no longer OFFERED"
    events = [e for e in queries.events_after(town.ledger.connection, 0) if e.kind == "release.skipped"]
    assert [(e.old, e.new, e.by) for e in events] == [("OFFERED", "SKIPPED", "alice")]


def test_two_clicks_make_one_deployment(town: Town) -> None:
    """Twenty people approve at the same moment: one deployment, nineteen friendly answers."""
    release = offered(town)
    answers: list[tuple[str | None, str]] = []
    gate = threading.Barrier(20)

    def click(n: int) -> None:
        gate.wait()
        answers.append(actions.approve(town.ledger, release.id, release.plan.digest, by=f"user{n}"))
        town.ledger.close()

    threads = [threading.Thread(target=click, args=(n,)) for n in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len([made for made, _ in answers if made]) == 1
    assert all("was faster" in said for made, said in answers if not made)
    assert len(queries.deployments(town.ledger.connection)) == 1


def test_a_plan_out_of_date_is_refused(town: Town) -> None:
    """A click on an old card asks again instead of deploying something else."""
    release = offered(town)
    with pytest.raises(Refused, match="plan has changed"):
        actions.approve(town.ledger, release.id, "000000000000", by="alice")
    assert queries.deployments(town.ledger.connection) == []


def test_an_intention_is_unique(town: Town) -> None:
    """The second intention under the same key is told that it is not the first."""
    release = offered(town)
    made, _ = actions.approve(town.ledger, release.id, release.plan.digest, by="alice")
    assert town.ledger.intend("dz-x-cache-1", made, "cache", 1, town.shared / "x", None)
    assert not town.ledger.intend("dz-x-cache-1", made, "cache", 1, town.shared / "x", None)


def test_names_never_collide_and_are_safe(town: Town) -> None:
    """Two deployments of one revision differ, and odd names become safe folder names."""
    first, second = offered(town, "acme/Tiny;rm -rf $HOME"), offered(town, "acme/Tiny rm rf HOME")
    one, _ = actions.approve(town.ledger, first.id, "", by="alice")
    two, _ = actions.approve(town.ledger, second.id, "", by="alice")
    assert one == "tiny-rm-rf-home-3f2a1b"
    assert two == "tiny-rm-rf-home-3f2a1b-2"


def test_routing_generation_counts_what_the_gateway_must_know(town: Town) -> None:
    """A server that comes up or goes, and a tag that moves, raise the generation; progress does not."""
    release = offered(town)
    made, _ = actions.approve(town.ledger, release.id, "", by="alice")
    db = town.ledger.connection
    deployment = queries.deployment(db, made)
    town.ledger.want_server(deployment)
    start = queries.generation(db)
    town.ledger.amend("deployments", made, progress={"done": 1})
    assert queries.generation(db) == start
    for event in ("submitted", "running"):
        town.ledger.move_server(queries.servers_of(db, made)[0], event)
    assert queries.generation(db) == start
    town.ledger.move_server(queries.servers_of(db, made)[0], "ready", url="http://x")
    assert queries.generation(db) == start + 1
    assert [r["url"] for r in db.execute("SELECT url FROM routes")] == [], "CACHING has no tag"


def test_old_ledgers_open_and_unknown_rows_say_so(tmp_path) -> None:
    """Opening twice applies nothing twice; a wrong name is answered with the nearest valid things."""
    for _ in range(2):
        ledger = Ledger(tmp_path / "ledger.db", TownClock())
        with pytest.raises(NotFound, match="no deployment 'x'") as caught:
            queries.named(ledger.connection, "x")
        assert "dayzero deploy" in caught.value.next_step
        ledger.close()


def test_a_reader_that_becomes_a_writer_waits_instead_of_failing(town: Town) -> None:
    """BEGIN IMMEDIATE: a read-then-write beside another writer waits for it; nothing says 'database is locked'."""
    release = offered(town)
    errors: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(50):
                with town.ledger.write() as db:
                    queries.release(db, release.id)
                    town.ledger.note("note.x")
        except sqlite3.OperationalError as error:
            errors.append(error)
        town.ledger.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []
    assert sum(e.kind == "note.x" for e in queries.events_after(town.ledger.connection, 0, 10_000)) == 200


def test_only_held_deployments_are_passed_by_hand(town: Town) -> None:
    """A person cannot wave a model through that is still being tested."""
    release = offered(town)
    made, _ = actions.approve(town.ledger, release.id, "", by="alice")
    with pytest.raises(WrongMove, match="only a HELD one"):
        actions.promote(town.ledger, made, "preview", by="alice")
    with pytest.raises(WrongMove, match="CACHING cannot be promoted"):
        actions.promote(town.ledger, made, "stable", by="alice")
