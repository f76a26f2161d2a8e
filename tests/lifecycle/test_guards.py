"""Guard rails: what they refuse, what they put off and until when; asked when planning and when submitting."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import deployments, guards, hours, queries, servers
from lifecycle.errors import BadSettings, Refused
from lifecycle.guards import Rails
from lifecycle.jobs import Forecast, JobState, Sighting, Victim
from lifecycle.reconcile import tick
from lifecycle.sections.cluster import Cluster, Guards
from lifecycle.settings import parse
from tests.lifecycle.test_story import NAME, approve, kinds, now
from tests.lifecycle.town import Town, plan

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0


def at(text: str) -> float:
    """2026-11-23 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def victims(*handles: str, partition: str = "") -> tuple[Victim, ...]:
    return tuple(
        Victim(handle=h, name="train", user="bob", node_count=1, gpus=8, ran_s=50, partition=partition) for h in handles
    )


@pytest.mark.parametrize(
    ("windows", "moment", "end"),
    [
        (["22:00-06:00"], "2026-11-23 21:59", None),
        (["22:00-06:00"], "2026-11-23 22:00", "2026-11-24 06:00"),
        (["22:00-06:00"], "2026-11-24 05:59", "2026-11-24 06:00"),
        (["22:00-06:00"], "2026-11-24 06:00", None),
        (["Mon-Fri 08:00-18:00"], "2026-11-28 12:00", None),  # a Saturday
        (["Mon-Fri 08:00-18:00"], "2026-11-27 12:00", "2026-11-27 18:00"),
        (["Fri 18:00-24:00", "Sat-Sun 00:00-24:00"], "2026-11-27 20:00", "2026-11-30 00:00"),  # one after another
        (["Sun 22:00-02:00"], "2026-11-30 01:00", "2026-11-30 02:00"),  # Sunday's night ends on Monday
        (["sat-mon 00:00-12:00"], "2026-11-30 11:00", "2026-11-30 12:00"),
        (["00:00-24:00"], "2026-11-30 11:00", "never"),
        (["01:00-04:00"], "2026-10-25 02:30", "2026-10-25 04:00"),  # the clocks go back: by the wall clock all the same
        ([], "2026-11-30 11:00", None),
    ],
)
def test_the_end_of_quiet_hours(windows: list[str], moment: str, end: str | None) -> None:
    """A table, weekdays and nights and the day the clocks change included."""
    found = hours.until([hours.read(window) for window in windows], at(moment), BERLIN)
    assert found == (None if end is None else float("inf") if end == "never" else at(end))


@pytest.mark.parametrize("text", ["", "22-6", "Mon", "Abc 08:00-09:00", "25:00-26:00", "08:70-09:00", "8:00"])
def test_no_hours(text: str) -> None:
    """Whatever is no time of the week is refused with an example."""
    with pytest.raises(ValueError, match=r"time|day|clock"):
        hours.read(text)


@settings(deadline=None)
@given(st.floats(1.7e9, 1.9e9), st.integers(0, 23), st.integers(0, 24))
def test_after_the_end_it_is_not_quiet(moment: float, start: int, end: int) -> None:
    """Whatever the window: the end lies ahead, within a day and an hour, and is outside the window."""
    windows = [hours.read(f"{start:02d}:00-{end:02d}:00")]
    found = hours.until(windows, moment, BERLIN)
    if found not in (None, float("inf")):
        assert moment < found <= moment + 26 * HOUR
        assert hours.until(windows, found, BERLIN) is None


@pytest.mark.parametrize(
    ("rails", "says"),
    [
        (Rails(max_nodes=1), "needs 2 nodes"),
        (Rails(never=frozenset({"p"})), "partition p is never touched"),
        (Rails(account="b"), "account a, and the settings now say b"),
        (Rails(qos=""), r"QOS serving, and the settings now say \(none\)"),
    ],
)
def test_what_no_plan_may_be(rails: Rails, says: str) -> None:
    """Size, partition, account and QOS; the refusal names the rail and what to do."""
    with pytest.raises(Refused, match=says) as refusal:
        guards.check_plan(plan(), rails)
    assert refusal.value.next_step
    guards.check_plan(plan(), Rails(max_nodes=2, never=frozenset({"q"}), account="a", qos="serving"))


NIGHT = Rails(quiet=(hours.read("22:00-06:00"),), zone=BERLIN)
LATE = at("2026-11-23 23:00")


@pytest.mark.parametrize(
    ("forecast", "waits"),
    [
        (Forecast(starts_at=LATE), False),  # free nodes, now
        (Forecast(starts_at=LATE, victims=victims("9")), True),
        (Forecast(starts_at=LATE + HOUR), True),  # it would wait, and might evict somebody at midnight
        (Forecast(starts_at=None, note="no word"), True),
    ],
)
def test_quiet_hours(forecast: Forecast, waits: bool) -> None:
    """Only what starts at once and evicts nobody goes; the rest is told when."""
    found = guards.stay(forecast, (), NIGHT, LATE)
    assert (found is not None) == waits
    if found:
        assert found.until == at("2026-11-24 06:00") and "Tue 06:00" in found.sentence
    assert guards.stay(forecast, (), NIGHT, at("2026-11-23 12:00")) is None


def test_so_many_a_day() -> None:
    """Within any 24 hours; the wait ends when enough of the earlier ones are a day old."""
    rails = Rails(preemptions_a_day=3, zone=BERLIN)
    two = Forecast(starts_at=LATE, victims=victims("8", "9"))
    earlier = [LATE - 30 * HOUR, LATE - 20 * HOUR, LATE - 10 * HOUR, LATE - 5 * HOUR]
    found = guards.stay(two, earlier, rails, LATE)
    assert found is not None and found.until == LATE + 14 * HOUR  # the second of the three must be a day old
    assert "2 jobs; 3 jobs made room" in found.sentence
    assert guards.stay(two, earlier[:2], rails, LATE) is None
    assert guards.stay(Forecast(starts_at=LATE), earlier, rails, LATE) is None
    with pytest.raises(Refused, match="4 jobs"):
        guards.stay(Forecast(starts_at=LATE, victims=victims("1", "2", "3", "4")), (), rails, LATE)


def test_jobs_in_a_partition_that_is_never_touched() -> None:
    """No waiting helps: refused, with the job."""
    found = Forecast(starts_at=LATE, victims=victims("7", partition="debug"))
    with pytest.raises(Refused, match="job 7 in the partition debug"):
        guards.stay(found, (), Rails(never=frozenset({"debug"})), LATE)


def test_the_settings_become_rails(tmp_path: Path) -> None:
    """Every key of [cluster.guards]; a mistake in it is named when the file is read."""
    made = Guards(quiet_hours=("22:00-06:00",), time_zone="Europe/Berlin", preemptions_a_day=4, never=("debug",))
    rails = Rails.of(Cluster(guards=made, account="team"))
    assert (rails.quiet, rails.zone) == (NIGHT.quiet, BERLIN)
    assert (rails.max_nodes, rails.preemptions_a_day, rails.account, rails.qos) == (8, 4, "team", "serving")
    for key, value, says in (("quiet_hours", ["at night"], "say 22:00-06:00"), ("time_zone", "Mars", "no time zone")):
        with pytest.raises(BadSettings, match=says):
            parse({"cluster": {"guards": {key: value}}}, tmp_path / "x.toml", {})


def starting(folder: Path, rails: Rails) -> Town:
    """A deployment whose weights are there and whose server would evict job 901; it is 23:00 in Berlin."""
    town = Town(folder)
    town.rails = rails
    town.clock.now = LATE
    town.scheduler.victims = victims("901")
    town.scheduler.jobs["901"] = Sighting(handle="901", name="train", state=JobState.RUNNING, word="RUNNING")
    approve(town)
    town.publish_weights(queries.deployment(town.ledger.connection, NAME))
    return town


def served(town: Town) -> bool:
    return any("-serve-" in key for key in town.scheduler.submissions)


def test_a_server_waits_for_the_morning(tmp_path: Path) -> None:
    """Nothing is submitted at night, said once, the scheduler asked once a minute; in the morning it goes."""
    town = starting(tmp_path, NIGHT)
    asked: list[float] = []
    ask = town.scheduler.forecast
    town.scheduler.forecast = lambda script: asked.append(town.clock.now) or ask(script)
    for _ in range(100):
        tick(town.world)
        town.clock.now += 10
    assert not served(town) and now(town) == deployments.STARTING
    assert kinds(town).count("note.guarded") == 1 and 15 <= len(asked) <= 18
    assert queries.deployment(town.ledger.connection, NAME).progress["until"] == at("2026-11-24 06:00")
    town.clock.now = at("2026-11-24 06:00")
    tick(town.world)
    assert served(town)
    (server,) = queries.servers_of(town.ledger.connection, NAME)
    assert (server.state, server.reason, server.held_until) == (servers.QUEUED, "", None)
    town.ledger.close()


def test_nodes_that_become_free_end_the_wait(tmp_path: Path) -> None:
    """The job that was in the way ends at midnight: nobody is evicted any more, so it starts."""
    town = starting(tmp_path, NIGHT)
    for _ in range(5):
        tick(town.world)
    assert not served(town)
    town.scheduler.victims = ()
    town.clock.now += guards.LOOK_AGAIN_S
    tick(town.world)
    assert served(town)
    town.ledger.close()


def test_preemptions_that_happened_count(tmp_path: Path) -> None:
    """One a day: the first server evicts, the next deployment's must wait a day."""
    town = starting(tmp_path, Rails(preemptions_a_day=1, zone=BERLIN))
    for _ in range(4):
        tick(town.world)
    assert served(town)
    town.scheduler.set("901", JobState.QUEUED)
    tick(town.world)
    assert len(queries.preemptions_since(town.ledger.connection, 0)) == 1
    found = guards.stay(
        Forecast(starts_at=LATE, victims=victims("902")),
        queries.preemptions_since(town.ledger.connection, LATE - guards.DAY_S),
        Rails(preemptions_a_day=1),
        LATE + 60,
    )
    assert found is not None and found.until > LATE + 23 * HOUR
    town.ledger.close()


@pytest.mark.parametrize(
    ("rails", "partition"),
    [(Rails(max_nodes=1), ""), (Rails(never=frozenset({"debug"})), "debug"), (Rails(preemptions_a_day=0), "")],
)
def test_what_is_refused_when_submitting_waits_for_a_person(tmp_path: Path, rails: Rails, partition: str) -> None:
    """A rail that was moved after the approval: BROKEN with its words; nothing is in Slurm."""
    town = starting(tmp_path, rails)
    town.scheduler.victims = victims("901", partition=partition)
    for _ in range(5):
        tick(town.world)
    broken = queries.deployment(town.ledger.connection, NAME)
    assert broken.state == deployments.BROKEN and "cluster.guards" in broken.reason and broken.next_step
    assert not served(town)
    town.ledger.close()


def test_moving_a_rail_and_retrying_goes_on(tmp_path: Path) -> None:
    """The way out that the sentence names works."""
    town = starting(tmp_path, Rails(max_nodes=1))
    for _ in range(5):
        tick(town.world)
    broken = queries.deployment(town.ledger.connection, NAME)
    town.rails = replace(town.rails, max_nodes=2)
    town.ledger.move_deployment(broken, "retried")
    for _ in range(3):
        tick(town.world)
    assert served(town)
    town.ledger.close()
