"""Steps of a server that only a bad moment of Slurm shows."""

from dataclasses import replace
from pathlib import Path

from lifecycle import deployments, queries, servers
from lifecycle.jobs import JobState
from lifecycle.naming import job_key
from lifecycle.reconcile import tick
from tests.lifecycle.test_story import NAME, approve, kinds, run
from tests.lifecycle.town import Town


def test_a_requeued_job_that_is_still_being_ended_does_not_load(tmp_path: Path) -> None:
    """COMPLETING holds nodes, with the new restart count, and is no new run: the server waits until it really runs."""
    town = Town(tmp_path)
    approve(town)
    run(town, deployments.PREVIEW)
    handle = town.scheduler.handle_of(job_key(NAME, "serve", 1))
    town.scheduler.set(handle, JobState.RUNNING, restarts=1)
    town.scheduler.jobs[handle] = replace(town.scheduler.jobs[handle], word="COMPLETING")
    for _ in range(3):
        tick(town.world)
    assert queries.servers_of(town.ledger.connection, NAME)[0].state == servers.QUEUED
    assert kinds(town).count("server.running") == 1
    town.scheduler.set(handle, JobState.RUNNING)
    tick(town.world)
    assert queries.servers_of(town.ledger.connection, NAME)[0].state == servers.LOADING
    town.ledger.close()


def test_a_requeued_server_is_hurried_but_a_begin_time_that_a_person_set_is_kept(tmp_path: Path) -> None:
    """Slurm's pause after a requeue is skipped; what an administrator put off, five minutes later, is not."""
    town = Town(tmp_path)
    approve(town)
    run(town, deployments.PREVIEW)
    handle = town.scheduler.handle_of(f"dz-{NAME}-serve-1")
    town.scheduler.set(handle, JobState.QUEUED, reason="BeginTime", restarts=1)
    for _ in range(3):
        tick(town.world)
    (server,) = queries.servers_of(town.ledger.connection, NAME)
    assert server.state == servers.QUEUED and town.scheduler.hurried
    town.scheduler.hurried.clear()
    town.clock.now += 400
    tick(town.world)
    assert not town.scheduler.hurried
    town.ledger.close()
