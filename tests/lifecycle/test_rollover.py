"""Walltime: the successor serves before the elder goes, whatever the ticks and the loading times."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import deployments, queries, servers
from lifecycle.jobs import JobState
from lifecycle.naming import job_key
from lifecycle.reconcile import tick
from lifecycle.records import Server
from lifecycle.rollover import due
from lifecycle.world import Limits
from tests.lifecycle.test_story import NAME, approve, kinds, now, run
from tests.lifecycle.town import Town, plan

HOUR = 3600.0
PLAN = replace(plan(), walltime_s=int(10 * HOUR))


def a_server(n: int, state: str = servers.UP, started_at: float = 0.0) -> Server:
    return Server(
        id=n, deployment_id=NAME, n=n, state=state, since=started_at, created_at=0, url="", backend_model="", engine="",
        restarts=0, started_at=started_at, ended_at=None, nodes="", reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at_h", "successors", "walltime_h", "load_h", "wanted"),
    [
        (8.9, "", 10, 0, False),  # an hour before the end, not earlier
        (9.0, "", 10, 0, True),
        (9.0, "Q", 10, 0, False),  # one is on its way
        (9.0, "L", 10, 0, False),
        (9.1, "G", 10, 0, False),  # one failed: the next after a third of the hour
        (9.34, "G", 10, 0, True),
        (9.67, "GG", 10, 0, True),
        (9.99, "GGG", 10, 0, False),  # enough
        (5.9, "", 10, 2, False),  # a model that takes two hours to load wants four
        (6.0, "", 10, 2, True),
        (0.4, "", 1, 0, False),  # a short job: half of its time at most
        (0.5, "", 1, 0, True),
    ],
)
def test_when_a_successor_is_wanted(at_h: float, successors: str, walltime_h: float, load_h: float, wanted: bool):
    """By the clock, the load time and what was tried; a table."""
    words = {"Q": servers.QUEUED, "L": servers.LOADING, "G": servers.GONE}
    others = [a_server(n, words[letter]) for n, letter in enumerate(successors, start=2)]
    its_plan = replace(PLAN, walltime_s=int(walltime_h * HOUR), expected_load_s=load_h * HOUR)
    assert due(a_server(1), others, its_plan, Limits(), at_h * HOUR) == wanted


def up(town: Town) -> list[int]:
    return [s.n for s in queries.servers_of(town.ledger.connection, NAME) if s.state == servers.UP]


def alive(town: Town) -> list[int]:
    return [s.n for s in queries.servers_of(town.ledger.connection, NAME) if s.state in servers.ALIVE]


def limit_of(town: Town) -> float:
    return queries.deployment(town.ledger.connection, NAME).plan.walltime_s


def slurm_and_nodes(town: Town, load_s: float) -> None:
    """Waiting jobs start; engines are ready after `load_s`; a job that is over its limit is ended, as Slurm does."""
    for job in list(town.scheduler.jobs.values()):
        if "-serve-" not in job.name:
            continue
        if job.state is JobState.QUEUED:
            town.scheduler.set(job.handle, JobState.RUNNING, nodes=("a",), started_at=town.clock.now)
        elif job.state is JobState.RUNNING and town.clock.now - job.started_at >= limit_of(town):
            town.scheduler.set(job.handle, JobState.FAILED)
        elif job.state is JobState.RUNNING and town.clock.now - job.started_at >= load_s:
            town.endpoint(NAME, int(job.name.rpartition("-")[2]))


def in_preview(folder: Path) -> Town:
    town = Town(folder)
    approve(town)
    run(town, deployments.PREVIEW)
    return town


def pass_time(town: Town, step_s: float, load_s: float) -> None:
    town.clock.now += step_s
    slurm_and_nodes(town, load_s)
    tick(town.world)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.floats(30, 600), min_size=5, max_size=20), load_s=st.floats(0, 1200))
def test_no_moment_without_a_server(tmp_path_factory: pytest.TempPathFactory, steps: list[float], load_s: float):
    """Three days of a deployment whose jobs may last a day: a server is UP after each tick, and never more than two."""
    town = in_preview(tmp_path_factory.mktemp("town"))
    end, n = town.clock.now + 3 * 24 * HOUR, 0
    while town.clock.now < end:
        left = min(s.started_at or 0 for s in queries.live_servers(town.ledger.connection)) + limit_of(town)
        idle = left - 1.2 * HOUR - town.clock.now  # nothing happens in the middle of a job's time
        pass_time(town, max(steps[n % len(steps)], idle), load_s)
        n += 1
        assert up(town), kinds(town)[-8:]
        assert len(alive(town)) <= 2
    assert kinds(town).count("note.rollover") == 3 and now(town) == deployments.PREVIEW
    assert "server.lost" not in kinds(town)
    town.ledger.close()


def test_the_elder_stays_until_the_gateway_routes_to_the_successor(tmp_path: Path) -> None:
    """UP in the ledger is not enough: every gateway worker must have taken the new routes over."""
    town = in_preview(tmp_path)
    town.registry.open = False
    pass_time(town, 23.2 * HOUR, 0)
    for _ in range(6):
        pass_time(town, 10, 0)
    assert up(town) == [1, 2]
    town.registry.open = True
    pass_time(town, 10, 0)
    assert up(town) == [2]
    pass_time(town, 10, 0)
    pass_time(town, 10, 0)
    assert [s.state for s in queries.servers_of(town.ledger.connection, NAME)] == [servers.GONE, servers.UP]
    town.ledger.close()


def test_successors_that_fail_break_nothing_while_the_elder_serves(tmp_path: Path) -> None:
    """Three failures, spread over the hour; the deployment stays in preview until the elder's time is over."""
    town = in_preview(tmp_path)
    pass_time(town, 23.1 * HOUR, 10**9)
    tried = []
    for _ in range(100):
        pass_time(town, 30, 10**9)
        for n in alive(town)[1:]:
            job = queries.job(town.ledger.connection, job_key(NAME, "serve", n))
            if job and job.handle and town.scheduler.jobs[job.handle].state is JobState.RUNNING:
                tried.append(town.clock.now)
                town.scheduler.set(job.handle, JobState.FAILED)
        assert up(town) == [1] and now(town) == deployments.PREVIEW
    assert len(tried) == 3 and tried[1] - tried[0] > 800 and tried[2] - tried[1] > 800
    town.ledger.close()


def test_a_relieved_server_is_no_failure(tmp_path: Path) -> None:
    """However often a deployment rolled over lately, its budget for real failures is whole."""
    town = in_preview(tmp_path)
    for _ in range(3):
        pass_time(town, 23.2 * HOUR, 0)
        for _ in range(6):
            pass_time(town, 10, 0)
    assert up(town) == [4] and len(alive(town)) == 1
    town.limits = replace(town.limits, server_window_s=100 * HOUR)
    town.scheduler.set(town.scheduler.handle_of(job_key(NAME, "serve", 4)), JobState.FAILED)
    for _ in range(6):
        pass_time(town, 10, 0)
    assert now(town) == deployments.PREVIEW and up(town) == [5]
    town.ledger.close()
