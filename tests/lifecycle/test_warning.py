"""Owners have time to save: what preempts their jobs is submitted only after the warning time."""

import pytest

from lifecycle import queries, servers, victims
from lifecycle.jobs import JobState, Sighting, Victim
from lifecycle.naming import job_key
from lifecycle.preempting import warned_until
from lifecycle.reconcile import tick
from lifecycle.records import Server, VictimRow
from tests.lifecycle.test_story import NAME, approve
from tests.lifecycle.town import Town

KEY = job_key(NAME, "serve", 1)


def a_server(created_at: float) -> Server:
    return Server(
        id=1, deployment_id=NAME, n=1, state=servers.WANTED, since=created_at, created_at=created_at, url="",
        backend_model="", engine="", restarts=0, started_at=None, ended_at=None, nodes="", reason="",
    )  # fmt: skip


def a_victim(told_at: float) -> VictimRow:
    return VictimRow(
        id=1, deployment_id=NAME, server_id=None, handle="9", name="n", user="bob", gpus=1, node_count=1, ran_s=1,
        restarts=0, state=victims.EXPECTED, since=told_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "until"),
    [([], 0), ([1000], 1600), ([100], 700), ([1000, 1300], 1900), ([1000, 2100], 2200)],
    ids=["nobody", "now", "long ago, at approval", "the last one counts", "but not for ever"],
)
def test_the_rule(told: list[float], until: float) -> None:
    """A server wanted at 1000 with 600 s of warning; `told`: when each owner was."""
    assert warned_until(a_server(1000), [a_victim(at) for at in told], 600) == until


def test_without_a_warning_time_nothing_waits() -> None:
    """The default: the moment is in the past."""
    assert warned_until(a_server(1000), [a_victim(1000)], 0) <= 1000


def test_the_job_is_submitted_only_after_the_warning_time(tmp_path) -> None:
    """Named by the forecast, told, left alone for ten minutes though we tick; then preempted. One who leaves by
    themselves ends the wait; asked of the scheduler is once before and once after."""
    town = Town(tmp_path, warn_s=600)
    one = Victim(handle="901", name="train", user="bob", node_count=1, gpus=1, ran_s=50)
    town.scheduler.victims = (one,)
    town.scheduler.jobs["901"] = Sighting(handle="901", name="train", state=JobState.RUNNING, word="RUNNING")
    approve(town)
    deployment = queries.deployment(town.ledger.connection, NAME)
    town.publish_weights(deployment)
    for _ in range(6):
        tick(town.world)
        town.clock.now += 60
    assert KEY not in town.scheduler.submissions
    deployment = queries.deployment(town.ledger.connection, NAME)
    assert deployment.progress["stage"] == "warn" and deployment.progress["jobs"] == 1
    assert [v.state for v in queries.victims_of(town.ledger.connection, NAME)] == [victims.EXPECTED]
    town.clock.now += 600
    tick(town.world)
    assert KEY in town.scheduler.submissions
    town.ledger.close()


def test_a_victim_that_ends_by_itself_ends_the_wait(tmp_path) -> None:
    """Nobody is left to be warned: no reason to wait out the time."""
    town = Town(tmp_path, warn_s=600)
    one = Victim(handle="901", name="train", user="bob", node_count=1, gpus=1, ran_s=50)
    town.scheduler.victims = (one,)
    town.scheduler.jobs["901"] = Sighting(handle="901", name="train", state=JobState.RUNNING, word="RUNNING")
    approve(town)
    town.publish_weights(queries.deployment(town.ledger.connection, NAME))
    for _ in range(4):
        tick(town.world)
    assert KEY not in town.scheduler.submissions
    town.scheduler.victims = ()
    town.scheduler.set("901", JobState.SUCCEEDED)
    tick(town.world)
    tick(town.world)
    assert KEY in town.scheduler.submissions
    town.ledger.close()
