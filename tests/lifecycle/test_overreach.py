"""Preempted though not forecast: written down and told; nobody else's requeue is taken for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle import deployments, queries, victims
from lifecycle.jobs import JobState, Sighting
from lifecycle.naming import job_key
from lifecycle.overreach import unforeseen
from lifecycle.reconcile import tick
from tests.lifecycle.test_story import NAME, approve, kinds, run
from tests.lifecycle.town import Town

LOST = Sighting(handle="901", name="train", user="bob", state=JobState.QUEUED, word="PENDING", qos="research", gpus=8,
                node_count=1, restarts=1, submitted_at=150.0)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"submitted_at": 99.0}, False),  # before our server was submitted
        ({"submitted_at": 201.0}, False),  # long after it had its nodes
        ({"restarts": 0}, False),  # it never ran
        ({"state": JobState.RUNNING, "word": "RUNNING"}, False),  # it runs
        ({"state": JobState.RUNNING, "word": "COMPLETING"}, False),  # it will be seen when it waits
        ({"gpus": 0}, False),
        ({"qos": "serving"}, False),
        ({"handle": "902"}, False),  # the forecast named it
    ],
)
def test_which_jobs_count(changes: dict, counts: bool) -> None:
    """Everything about the job must fit; a table."""
    assert bool(list(unforeseen([replace(LOST, **changes)], (100.0, 200.0), {"902"}, {"serving"}))) == counts


def test_a_second_victim_is_written_down_and_told(tmp_path: Path) -> None:
    """It goes straight to REQUEUED, without a heads-up that would come too late, and is followed until it runs."""
    town = Town(tmp_path)
    approve(town)
    run(town, deployments.STARTING)
    tick(town.world), tick(town.world)
    town.scheduler.jobs["901"] = replace(LOST, state=JobState.RUNNING, word="RUNNING", restarts=0, submitted_at=1.0)
    serve = town.scheduler.handle_of(job_key(NAME, "serve", 1))
    town.scheduler.set(serve, JobState.RUNNING, started_at=town.clock(), qos="serving")
    tick(town.world)
    assert queries.victims_of(town.ledger.connection, NAME) == []
    town.scheduler.jobs["901"] = replace(LOST, submitted_at=town.clock())
    tick(town.world), tick(town.world)
    (row,) = queries.victims_of(town.ledger.connection, NAME)
    assert (row.state, row.user, row.gpus) == (victims.REQUEUED, "bob", 8)
    events = [e for e in queries.history(town.ledger.connection, NAME) if e.kind.startswith("victim.")]
    assert [e.kind for e in events] == ["victim.requeued"] and events[0].detail["unforeseen"]
    town.scheduler.set("901", JobState.RUNNING, restarts=1)
    tick(town.world)
    assert kinds(town)[-1] == "victim.resumed"
    town.clock.now += 3600
    town.scheduler.jobs["903"] = replace(LOST, handle="903", submitted_at=town.clock())
    tick(town.world)
    assert len(queries.victims_of(town.ledger.connection, NAME)) == 1, "an hour later it is somebody else's doing"
    town.ledger.close()
