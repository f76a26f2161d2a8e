"""The place of a job among those that wait for GPUs."""

from pathlib import Path

from lifecycle import queries, servers
from lifecycle.jobs import JobState, Sighting, Snapshot
from lifecycle.naming import job_key
from lifecycle.reconcile import tick
from tests.lifecycle.test_story import NAME, approve, play
from tests.lifecycle.town import Town


def job(handle: str, state: JobState = JobState.QUEUED, gpus: int = 1, **more: float) -> Sighting:
    return Sighting(handle=handle, name=handle, state=state, gpus=gpus, **more)


def test_by_expected_start_then_by_submission() -> None:
    """What runs and what wants no GPU has no place; who is expected to start sooner is before who came sooner."""
    jobs = [
        job("1", submitted_at=1.0), job("2", submitted_at=2.0, expected_start=90.0), job("3", submitted_at=3.0),
        job("4", JobState.RUNNING), job("5", gpus=0, submitted_at=0.0),
    ]  # fmt: skip
    seen = Snapshot(0, True, {one.handle: one for one in jobs})
    assert [seen.place(h) for h in "2134"] == [(1, 3), (2, 3), (3, 3), None]
    assert seen.place("5") is None and seen.place("99") is None


def test_a_waiting_server_shows_its_place(tmp_path: Path) -> None:
    """For the person who watches, beside the scheduler's reason; it moves up as others start."""
    town = Town(tmp_path)
    approve(town)
    key = job_key(NAME, "serve", 1)
    while key not in town.scheduler.submissions:
        tick(town.world)
        if key not in town.scheduler.submissions:
            play(town)
    mine = town.scheduler.handle_of(key)
    town.scheduler.set(mine, JobState.QUEUED, gpus=2, submitted_at=5.0, reason="Priority")
    town.scheduler.jobs["900"] = job("900", submitted_at=1.0)
    for expected in ((2, 2), (1, 1)):
        tick(town.world)
        tick(town.world)
        (server,) = queries.servers_of(town.ledger.connection, NAME)
        progress = queries.deployment(town.ledger.connection, NAME).progress
        assert server.state == servers.QUEUED and progress["reason"] == "Priority"
        assert (progress["place"], progress["waiting"]) == expected
        town.scheduler.set("900", JobState.RUNNING)
    town.ledger.close()
