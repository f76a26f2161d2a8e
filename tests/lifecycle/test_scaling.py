"""Replicas, sleep and wake: by load, by requests, by the clock, by a person; within the guard rails."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import deployments, guards, hours, queries, scaling, servers
from lifecycle.demand import Demand
from lifecycle.errors import Refused, WrongMove
from lifecycle.guards import Rails
from lifecycle.jobs import JobState, Victim
from lifecycle.reconcile import tick
from lifecycle.records import Deployment
from lifecycle.scaling import SLEEP, WAKE, Pace
from lifecycle.wishes import Scale, scale
from tests.lifecycle.test_guards import BERLIN, at
from tests.lifecycle.test_rollover import HOUR, alive, in_preview, pass_time, up
from tests.lifecycle.test_story import NAME, kinds, now
from tests.lifecycle.town import Town

PACE = Pace(concurrency=10)
MONDAY = at("2026-11-23 12:00")


def row(town: Town) -> Deployment:
    return queries.deployment(town.ledger.connection, NAME)


def sleeper(town: Town) -> dict | None:
    """What the gateway sees of it while no server answers."""
    found = town.ledger.connection.execute("SELECT * FROM sleepers").fetchall()
    return dict(found[0]) if found else None


@pytest.fixture
def town(tmp_path: Path):
    town = in_preview(tmp_path)
    yield town
    town.ledger.close()


def settle(town: Town, ticks: int = 12, step_s: float = 5, load_s: float = 20) -> None:
    for _ in range(ticks):
        pass_time(town, step_s, load_s)


def ask(town: Town, asked: Scale, max_nodes: int = 8) -> str:
    return scale(town.ledger, NAME, asked, max_nodes=max_nodes, by="alice")


def a_deployment(tmp_path: Path, **changes: object) -> Deployment:
    town = in_preview(tmp_path)
    found = replace(row(town), since=MONDAY - 9 * HOUR, **changes)
    town.ledger.close()
    return found


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return a_deployment(tmp_path_factory.mktemp("town"), idle_s=1800.0, load_s=300.0)


@pytest.mark.parametrize(
    ("changes", "demand", "up_ago", "wanted"),
    [
        ({}, Demand(), 7200, SLEEP),  # up for two hours, nobody ever asked
        ({}, Demand(), 1700, None),  # it has only just come up
        ({}, Demand(last_request_at=MONDAY - 1700), 7200, None),
        ({}, Demand(last_request_at=MONDAY - 1900), 7200, SLEEP),
        ({}, Demand(inflight=1, last_request_at=MONDAY - 9000), 7200, None),  # an answer that takes hours
        ({}, Demand(waiting=1), 7200, None),
        ({}, None, 7200, None),  # the gateway's word can't be had
        ({}, Demand(), None, None),  # no server is up: it may be on its way for somebody
        ({"awake_since": MONDAY - 60}, Demand(), 7200, None),  # a person has woken it, and has not asked yet
        ({"idle_s": None}, Demand(), 7200, None),
        ({"awake_hours": "Mon-Fri 08:00-18:00"}, Demand(), 7200, None),
        ({"awake_hours": "Mon-Fri 12:04-18:00"}, Demand(), 7200, None),  # it would have to be woken at once
        ({"awake_hours": "Mon-Fri 14:00-18:00"}, Demand(), 7200, SLEEP),
        ({"asleep_since": MONDAY - 60}, Demand(), None, None),
        ({"asleep_since": MONDAY - 60}, Demand(wanted_at=MONDAY - 90), None, None),  # from before it slept
        ({"asleep_since": MONDAY - 60}, Demand(wanted_at=MONDAY - 5), None, WAKE),
        ({"asleep_since": MONDAY - 60}, None, None, None),
        ({"asleep_since": MONDAY - 60, "awake_hours": "Mon-Fri 12:04-18:00"}, None, None, WAKE),  # it takes 5 minutes
        ({"asleep_since": MONDAY - 60, "awake_hours": "Mon-Fri 12:10-18:00"}, None, None, None),
    ],
)
def test_when_it_sleeps_and_wakes(idle: Deployment, changes: dict, demand, up_ago, wanted) -> None:
    """Monday noon, half an hour of idling, five minutes to load; a table."""
    up_since = None if up_ago is None else MONDAY - up_ago
    found = scaling.turn(replace(idle, **changes), demand, up_since, BERLIN, MONDAY, PACE)
    assert (found.what if found else None) == wanted


@pytest.mark.parametrize(
    ("demand", "up", "word"),
    [
        (Demand(inflight=8), 1, ""),
        (Demand(inflight=9), 1, "busy"),
        (Demand(waiting=1), 1, "busy"),
        (Demand(inflight=9), 2, ""),
        (Demand(inflight=5), 2, "calm"),
        (Demand(), 1, ""),  # one is the least
        (Demand(waiting=3), 0, ""),  # none is up: waking is another matter
    ],
)
def test_busy_and_calm(demand: Demand, up: int, word: str) -> None:
    """Ten requests at once for each server; a table."""
    assert scaling.load(demand, up, PACE) == word


@settings(deadline=None)
@given(
    least=st.integers(1, 5), more=st.integers(0, 5), up=st.integers(0, 12), coming=st.integers(0, 2),
    busy=st.one_of(st.none(), st.floats(0, 2000)), calm=st.one_of(st.none(), st.floats(0, 2000)),
)  # fmt: skip
def test_a_target_stays_within_what_was_asked(idle: Deployment, least, more, up, coming, busy, calm) -> None:
    """Never fewer than the least, never more than the most, one step at a time, none asleep."""
    one = replace(idle, replicas=least, replicas_most=least + more)
    one = replace(one, busy_since=None if busy is None else MONDAY - busy)
    one = replace(one, calm_since=None if calm is None else MONDAY - calm)
    found = scaling.target(one, up, up + coming, MONDAY, PACE)
    assert least <= found <= least + more
    if least <= up + coming <= least + more:
        assert abs(found - (up + coming)) <= 1
    assert scaling.target(replace(one, asleep_since=MONDAY), up, up, MONDAY, PACE) == 0


def test_it_falls_asleep_and_a_request_wakes_it(town: Town) -> None:
    """Its GPUs go back, its state and tag stay; the gateway sees that it sleeps and how long waking takes; a request
    brings it back, and its servers that went count as no failures."""
    ask(town, Scale(idle_s=1800))
    settle(town)
    assert up(town) == [1] and sleeper(town) is None
    generation = queries.generation(town.ledger.connection)
    pass_time(town, 1900, 20)
    settle(town, 3)
    assert now(town) == deployments.PREVIEW and alive(town) == [] and row(town).asleep_since
    assert all(job.state.ended for job in town.scheduler.jobs.values())
    seen = sleeper(town)
    assert (seen["deployment_id"], seen["tag"], seen["awake_since"]) == (NAME, "preview", None)
    assert seen["wake_s"] == row(town).load_s and queries.generation(town.ledger.connection) > generation
    settle(town, 20, step_s=600)
    assert alive(town) == [] and "server.lost" not in kinds(town)  # it sleeps on, for hours
    town.demands.asked[NAME] = Demand(waiting=1, last_request_at=town.clock.now, wanted_at=town.clock.now)
    pass_time(town, 1, 20)
    assert row(town).asleep_since is None and sleeper(town)["awake_since"]
    settle(town)
    assert up(town) == [2] and sleeper(town) is None
    assert 20 <= row(town).load_s <= 40
    assert [kind for kind in kinds(town) if kind in ("note.asleep", "note.woken")] == ["note.asleep", "note.woken"]


def test_nothing_sleeps_while_the_gateway_is_silent(town: Town) -> None:
    """No word is not 'nobody asks'."""
    ask(town, Scale(idle_s=60))
    town.demands.deaf = True
    settle(town, 10, step_s=600)
    assert up(town) == [1]


def test_by_hand(town: Town) -> None:
    """To sleep and awake again by a person's word; twice is once."""
    assert "asleep now" in ask(town, Scale(sleep=True))
    ask(town, Scale(sleep=True))
    settle(town)
    assert alive(town) == [] and kinds(town).count("note.asleep") == 1
    assert "asleep" not in ask(town, Scale(wake=True))
    ask(town, Scale(wake=True))
    settle(town)
    assert up(town) == [2] and kinds(town).count("note.woken") == 1


def test_by_the_clock(town: Town) -> None:
    """Awake from eight to six on working days, ready when they begin; asleep at night, when nobody asks."""
    town.rails = Rails(zone=BERLIN)
    town.clock.now = max(town.clock.now, at("2026-11-23 09:00"))
    ask(town, Scale(idle_s=1800, hours="Mon-Fri 08:00-18:00"))
    settle(town, 10, step_s=30)
    asleep: list[tuple[int, bool]] = []
    while town.clock.now < at("2026-11-25 09:00"):
        pass_time(town, 300, 20)
        hour = (town.clock.now - at("2026-11-23 00:00")) / HOUR
        asleep.append((hour, row(town).asleep_since is not None))
    assert not any(sleeps for hour, sleeps in asleep if 8 < hour % 24 < 18)
    assert all(sleeps for hour, sleeps in asleep if 18.8 < hour < 31.5)


def test_load_adds_servers_and_calm_takes_them_away(town: Town) -> None:
    """Busy for a while: one more, and one more, to the most; calm for ten minutes: one fewer, to the least."""
    ask(town, Scale(replicas=(1, 3)))
    limit = row(town).plan.walltime_s
    town.demands.asked[NAME] = Demand(inflight=40)
    settle(town, 60)
    assert len(up(town)) == 3 and now(town) == deployments.PREVIEW
    town.demands.asked[NAME] = Demand(inflight=1)
    most = 3
    for _ in range(90):
        pass_time(town, 30, 20)
        assert len(up(town)) <= most
        most = len(up(town))
    assert len(up(town)) == 1 and limit == row(town).plan.walltime_s
    assert kinds(town).count("note.scaled") == 4 and "server.lost" not in kinds(town)


def test_a_bot_that_starts_again_goes_on_counting(town: Town) -> None:
    """How long it has been busy is in the ledger."""
    ask(town, Scale(replicas=(1, 2)))
    town.demands.asked[NAME] = Demand(inflight=40)
    pass_time(town, 5, 20)
    assert row(town).busy_since
    town.ledger.close()
    pass_time(town, 31, 20)
    assert alive(town) == [1, 2]


def test_so_many_always(town: Town) -> None:
    """Three servers, whatever the load; one that dies is followed by another; fewer on a person's word."""
    ask(town, Scale(replicas=(3, 3)))
    settle(town, 40)
    assert len(up(town)) == 3
    handle = town.scheduler.handle_of(f"dz-{NAME}-serve-2")
    town.scheduler.set(handle, JobState.FAILED)
    settle(town, 20)
    assert len(up(town)) == 3 and 2 not in up(town) and now(town) == deployments.PREVIEW
    ask(town, Scale(replicas=(1, 1)))
    settle(town, 20)
    assert len(up(town)) == 1


def test_further_servers_that_fail_break_nothing(town: Town) -> None:
    """Three tries in six hours, then the one that answers is left alone."""
    ask(town, Scale(replicas=(2, 2)))
    tried = 0
    for _ in range(60):
        pass_time(town, 5, 10**9)
        for n in alive(town)[1:]:
            job = town.scheduler.jobs.get(queries.job(town.ledger.connection, f"dz-{NAME}-serve-{n}").handle or "") if (
                queries.job(town.ledger.connection, f"dz-{NAME}-serve-{n}")) else None  # fmt: skip
            if job is not None and job.state is JobState.RUNNING:
                town.scheduler.set(job.handle, JobState.FAILED)
                tried += 1
    assert tried == 3 and up(town) == [1] and now(town) == deployments.PREVIEW


@pytest.mark.parametrize(("step_s", "load_s"), [(60, 0), (240, 900)])
def test_several_roll_over_and_never_fewer_answer(town: Town, step_s: float, load_s: float) -> None:
    """Two days of two servers whose jobs last a day and end at the same time: two answer after each tick."""
    ask(town, Scale(replicas=(2, 2)))
    while len(up(town)) < 2:
        pass_time(town, 100, load_s)
    end = town.clock.now + 2 * 24 * HOUR
    while town.clock.now < end:
        begun = [s.started_at or 0 for s in queries.live_servers(town.ledger.connection) if s.state == servers.UP]
        quiet = min(begun) + row(town).plan.walltime_s - 1.2 * HOUR - town.clock.now
        pass_time(town, max(step_s, quiet), load_s)
        assert len(up(town)) >= 2 and len(alive(town)) <= 4, kinds(town)[-8:]
    assert now(town) == deployments.PREVIEW and "server.lost" not in kinds(town)
    assert kinds(town).count("note.rollover") == 4


def test_the_rails_hold_for_more_servers_too(town: Town) -> None:
    """No more nodes than the rail allows, by a person's word or by load; in quiet hours nobody is preempted for one."""
    with pytest.raises(Refused, match="take 10 nodes"):
        ask(town, Scale(replicas=(1, 5)))
    ask(town, Scale(replicas=(1, 4)))
    town.rails = Rails(max_nodes=4)
    town.demands.asked[NAME] = Demand(inflight=400)
    settle(town, 40)
    assert len(up(town)) == 2
    town.clock.now = at("2026-11-23 23:00")
    town.rails = Rails(quiet=(hours.read("22:00-06:00"),), zone=ZoneInfo("Europe/Berlin"))
    town.scheduler.victims = (Victim(handle="901", name="n", user="bob", node_count=1, gpus=1, ran_s=1),)
    before = len(town.scheduler.submissions)
    settle(town, 20)
    assert len(town.scheduler.submissions) == before and "note.guarded" in kinds(town)
    held = [s for s in queries.live_servers(town.ledger.connection) if s.state == servers.WANTED]
    assert held and all(s.held_until <= town.clock.now + guards.LOOK_AGAIN_S for s in held)


@pytest.mark.parametrize(
    ("asked", "says"),
    [(Scale(replicas=(3, 2)), "3-2"), (Scale(replicas=(0, 2)), "0-2"), (Scale(hours="at night"), "22:00-06:00")],
)
def test_bad_wishes(town: Town, asked: Scale, says: str) -> None:
    """Refused with an example; nothing changes."""
    before = row(town)
    with pytest.raises(Refused, match=says):
        ask(town, asked)
    assert row(town) == before


def test_only_what_is_in_preview_or_stable_sleeps(tmp_path: Path) -> None:
    """A model in the Gauntlet needs its server."""
    from tests.lifecycle.test_story import approve

    town = Town(tmp_path)
    approve(town)
    tick(town.world)
    with pytest.raises(WrongMove, match="CACHING"):
        ask(town, Scale(sleep=True))
    ask(town, Scale(idle_s=60, replicas=(1, 2)))  # for later
    assert row(town).idle_s == 60
    town.ledger.close()


def test_retiring_what_sleeps(town: Town) -> None:
    """It drains at once: there is nothing to give back."""
    from lifecycle import actions

    ask(town, Scale(sleep=True))
    settle(town)
    actions.retire(town.ledger, NAME, by="alice")
    settle(town, 3)
    assert now(town) == deployments.RETIRED and sleeper(town) is None
