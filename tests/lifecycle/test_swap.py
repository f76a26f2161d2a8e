"""One deployment takes the place of another: step by step, back when it is worse, and after a kill at any moment."""

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle import actions, deployments, queries, servers, swapping, swaps
from lifecycle.deployments import PREVIEW, RETIRED, STABLE
from lifecycle.errors import Refused, WrongMove
from lifecycle.jobs import JobState
from lifecycle.ledger import Ledger
from lifecycle.plans import Plan
from lifecycle.reconcile import tick
from lifecycle.records import Deployment
from lifecycle.swaps import CANARY, DONE, HALTED, RETURNING, TAKEN, Quality, Swap, SwapRules, worse
from tests.lifecycle.test_story import approve
from tests.lifecycle.town import Killed, Town, plan

ELDER, SUCCESSOR = "tiny-good-3f2a1b", "tiny-good-fp8-3f2a1b"
RULES = SwapRules(steps=(10, 50, 100), step_s=600, keep_s=3600)
FINE = Quality(requests=100, failed=0, ttft_s=0.1)


class SwapTown(Town):
    """A town whose world swaps by RULES."""

    @property
    def world(self):
        return replace(super().world, swapping=RULES)


@pytest.fixture
def town(tmp_path: Path):
    town = SwapTown(tmp_path)
    yield town
    town.ledger.close()


def of(town: Town, name: str) -> Deployment:
    return queries.deployment(town.ledger.connection, name)


def swap_of(town: Town) -> Swap:
    found = swaps.last_swap_of(town.ledger.connection, ELDER)
    assert found is not None
    return found


def play(town: Town) -> None:
    """Slurm and the nodes do the next thing that they would do, for every deployment."""
    for name, job in {job.name: job for job in town.scheduler.jobs.values()}.items():
        deployment = of(town, name.removeprefix("dz-").rsplit("-exam-" if "-exam-" in name else "-", 1)[0]
                        .removesuffix("-serve").removesuffix("-cache").removesuffix("-quantize"))  # fmt: skip
        if job.state is JobState.QUEUED:
            town.scheduler.set(job.handle, JobState.RUNNING, nodes=("a",), started_at=town.clock())
        elif job.state is JobState.RUNNING and ("-cache-" in name or "-quantize-" in name):
            town.publish_weights(deployment)
            town.scheduler.set(job.handle, JobState.SUCCEEDED)
        elif job.state is JobState.RUNNING and "-serve-" in name:
            town.endpoint(deployment.id, int(name.rpartition("-")[2]))
        elif job.state is JobState.RUNNING and "-exam-" in name:
            town.scheduler.set(job.handle, JobState.SUCCEEDED)


def run(town: Town, reached, ticks: int = 40, pass_s: float = 0.0) -> None:
    """Ticks until `reached()`; each takes `pass_s` seconds."""
    for _ in range(ticks):
        if reached():
            return
        tick(town.world)
        play(town)
        town.clock.now += pass_s
    raise AssertionError(f"{[(e.deployment_id, e.kind) for e in queries.events_after(town.ledger.connection, 0)]}")


def quantized() -> Plan:
    return replace(plan("acme/Tiny-Good-FP8"), nodes=1, tensor_parallel=1)


def served(town: Town) -> None:
    """The elder is in preview."""
    approve(town)
    run(town, lambda: of(town, ELDER).state == PREVIEW)


def swapped(town: Town, state: str) -> None:
    """The swap has come so far; the requests are many, and all is well."""
    served(town)
    assert swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice") == SUCCESSOR
    town.registry.seen = {ELDER: FINE, SUCCESSOR: FINE}
    run(town, lambda: swap_of(town).state == state, pass_s=0 if state == CANARY else 300)


def kinds(town: Town) -> list[str]:
    events = queries.events_after(town.ledger.connection, 0)
    return [e.kind.removeprefix("swap.") for e in events if e.kind.startswith("swap.")]


def weights(town: Town) -> tuple[float, float]:
    return of(town, ELDER).weight, of(town, SUCCESSOR).weight


def test_the_straight_swap(town: Town) -> None:
    """Judged, then 10, 50, 100 % for ten minutes each, the elder kept for an hour, its tag and names taken over."""
    served(town)
    actions.promote(town.ledger, ELDER, "stable", by="alice")
    town.ledger.amend("deployments", ELDER, idle_s=7200.0, awake_hours="Mon-Fri 08:00-18:00", replicas_most=2)
    swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice")
    assert weights(town) == (1, 0)
    run(town, lambda: swap_of(town).state == CANARY)
    assert weights(town) == pytest.approx((0.9, 0.1))
    assert of(town, SUCCESSOR).aliases == ("acme/Tiny-Good",)
    assert of(town, SUCCESSOR).progress["note"] == f"CANARY: 10% of the requests to {ELDER}"
    seen = []
    for _ in range(40):
        tick(town.world)
        seen.append((swap_of(town).state, swap_of(town).share))
        town.clock.now += 200
    assert list(dict.fromkeys(seen)) == [(CANARY, 0.1), (CANARY, 0.5), (CANARY, 1.0), (TAKEN, 1.0), (DONE, 1.0)]
    steps = [e.at for e in queries.events_after(town.ledger.connection, 0) if e.kind.startswith("swap.")][1:]
    *lasted, kept = [later - before for before, later in itertools.pairwise(steps)]
    assert len(lasted) == 3 and all(600 <= seconds < 801 for seconds in lasted) and 3600 <= kept < 3801
    assert (of(town, ELDER).state, of(town, SUCCESSOR).state) == (RETIRED, STABLE)
    now = of(town, SUCCESSOR)
    assert (now.idle_s, now.awake_hours, now.replicas_most) == (7200.0, "Mon-Fri 08:00-18:00", 2)
    assert kinds(town) == ["wanted", "began", "stepped", "stepped", "took_over", "finished"]


@pytest.mark.parametrize("at", [CANARY, TAKEN])
def test_rollback(town: Town, at: str) -> None:
    """One command: the elder has all requests with it; the successor drains only when every worker knows."""
    swapped(town, at)
    town.registry.open = False
    said = swapping.rollback(town.ledger, "acme/Tiny-Good-FP8", by="alice", because="it stutters")
    assert ELDER in said and weights(town) == (1, 0)
    tick(town.world)
    assert (swap_of(town).state, of(town, SUCCESSOR).state) == (RETURNING, PREVIEW)
    town.registry.open = True
    run(town, lambda: of(town, SUCCESSOR).state == RETIRED)
    assert swap_of(town).state == swaps.BACK and of(town, ELDER).state == PREVIEW
    with pytest.raises(Refused, match="already"):
        swapping.rollback(town.ledger, ELDER, by="bob")


def test_rollback_after_the_elder_is_gone(town: Town) -> None:
    """The old plan is deployed again, judged, and takes over in one step."""
    swapped(town, DONE)
    run(town, lambda: of(town, ELDER).state == RETIRED)
    said = swapping.rollback(town.ledger, SUCCESSOR, by="alice")
    again = f"{ELDER}-2"
    assert again in said and of(town, again).plan == of(town, ELDER).plan
    run(town, lambda: of(town, SUCCESSOR).state == RETIRED, ticks=80, pass_s=300)
    assert of(town, again).state == PREVIEW and of(town, again).weight == 1
    assert of(town, again).aliases == ("acme/Tiny-Good-FP8",)


def test_a_worse_canary_steps_back_by_itself(town: Town) -> None:
    """At once, without waiting for the step's end and while Slurm is silent; a person resumes from the first step."""
    swapped(town, CANARY)
    town.scheduler.silent = True
    town.registry.seen[SUCCESSOR] = Quality(requests=40, failed=9)
    tick(town.world)
    assert swap_of(town).state == HALTED and weights(town) == (1, 0)
    said = next(e for e in queries.events_after(town.ledger.connection, 0) if e.kind == "swap.halted")
    assert "9 of its 40" in said.detail["sentence"]
    tick(town.world)
    assert swap_of(town).state == HALTED
    town.scheduler.silent = False
    town.registry.seen[SUCCESSOR] = FINE
    swapping.resume(town.ledger, SUCCESSOR, by="alice")
    assert weights(town) == pytest.approx((0.9, 0.1))
    run(town, lambda: swap_of(town).state == DONE, pass_s=300)


@pytest.mark.parametrize("at", [CANARY, TAKEN])
def test_a_successor_that_breaks_gives_its_place_back(town: Town, at: str) -> None:
    """It is BROKEN: the elder has everything again, and a person may retry it."""
    swapped(town, at)
    town.ledger.move_deployment(of(town, SUCCESSOR), "broke", reason="Out of memory.")
    tick(town.world)
    assert swap_of(town).state == HALTED and weights(town) == (1, 0)
    with pytest.raises(Refused, match="does not serve"):
        swapping.resume(town.ledger, SUCCESSOR, by="alice")


def test_a_successor_that_fails_the_gauntlet(town: Town) -> None:
    """It never gets a request; the elder goes on."""
    served(town)
    town.exams.outcome, town.exams.reasons = "FAIL", ("It has lost 12 answers.",)
    swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice")
    run(town, lambda: of(town, SUCCESSOR).state == RETIRED)
    assert swap_of(town).state == swaps.LOST and weights(town) == (1, 0) and of(town, ELDER).state == PREVIEW
    assert kinds(town) == ["wanted", "lost"]


def test_an_elder_that_ends_leaves_its_names(town: Town) -> None:
    """Somebody retires it in the middle: the successor answers alone to what it was called."""
    swapped(town, CANARY)
    actions.retire(town.ledger, ELDER, by="bob")
    tick(town.world)
    assert swap_of(town).state == DONE
    assert (of(town, SUCCESSOR).weight, of(town, SUCCESSOR).aliases) == (1, ("acme/Tiny-Good",))


def test_no_step_without_a_server_or_an_answer_of_the_gateway(town: Town) -> None:
    """The share does not grow while the successor has no server, nor before every worker has the last step."""
    swapped(town, CANARY)
    town.clock.now += 700
    town.registry.open = False
    tick(town.world)
    assert swap_of(town).share == 0.1
    town.registry.open = True
    server = next(s for s in queries.servers_of(town.ledger.connection, SUCCESSOR) if s.state == servers.UP)
    town.ledger.move_server(server, "sick")
    tick(town.world)
    assert swap_of(town).share == 0.1


def test_who_may_be_swapped(town: Town) -> None:
    """Only what serves, only once at a time, only where both have room."""
    approve(town)
    with pytest.raises(WrongMove, match="CACHING"):
        swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice")
    run(town, lambda: of(town, ELDER).state == PREVIEW)
    swapping.refuse_crowd(of(town, ELDER), quantized(), 3)
    with pytest.raises(Refused, match="3 nodes, 2 and 1"):
        swapping.refuse_crowd(of(town, ELDER), quantized(), 2)
    swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice")
    for name in (ELDER, SUCCESSOR):
        with pytest.raises((Refused, WrongMove)):
            swapping.swap_for(town.ledger, of(town, name), quantized(), RULES.steps, by="bob")
    for ask in (swapping.resume,):
        with pytest.raises(Refused):
            ask(town.ledger, ELDER, by="bob")


@contextlib.contextmanager
def dying(ledger: Ledger, fuse: int):
    """Killed right after the n-th transaction in which an event was written."""
    note, write, noted, left = ledger.note, ledger.write, False, fuse

    def noting(*args, **kwargs):
        nonlocal noted
        noted = True
        return note(*args, **kwargs)

    @contextlib.contextmanager
    def writing():
        nonlocal noted, left
        outermost = not ledger.connection.in_transaction
        with write() as connection:
            yield connection
        if outermost and noted:
            noted, left = False, left - 1
            if left == 0:
                raise Killed

    ledger.note, ledger.write = noting, writing  # type: ignore[method-assign]
    try:
        yield
    finally:
        del ledger.note, ledger.write


def test_killed_after_any_event_it_ends_the_same(tmp_path: Path) -> None:
    """From the wish to the elder's end, killed after each event in turn: one successor, each job once, the same end."""

    def whole(town: SwapTown) -> None:
        if swaps.last_swap_of(town.ledger.connection, ELDER) is None:
            swapping.swap_for(town.ledger, of(town, ELDER), quantized(), RULES.steps, by="alice")
        run(town, lambda: of(town, ELDER).state == RETIRED, pass_s=400)

    def ready(folder: Path) -> tuple[SwapTown, int]:
        town = SwapTown(folder)
        served(town)
        town.registry.seen = {ELDER: FINE, SUCCESSOR: FINE}
        return town, len(queries.events_after(town.ledger.connection, 0))

    town, before = ready(tmp_path / "count")
    whole(town)
    total = len(queries.events_after(town.ledger.connection, 0)) - before
    usual = kinds(town)
    town.ledger.close()
    assert total > 15
    for fuse in range(1, total + 1):
        town, _ = ready(tmp_path / str(fuse))
        with contextlib.suppress(Killed), dying(town.ledger, fuse):
            whole(town)
        whole(town)
        assert kinds(town) == usual, f"killed after transaction {fuse}"
        assert len(town.scheduler.submissions) == len(set(town.scheduler.submissions)) == 6
        assert (of(town, SUCCESSOR).state, of(town, SUCCESSOR).weight) == (PREVIEW, 1)
        town.ledger.close()


RATES = st.builds(
    lambda requests, failed, ttft: Quality(requests=requests, failed=min(failed, requests), ttft_s=ttft),
    st.integers(0, 500), st.integers(0, 500), st.none() | st.floats(0.001, 60),
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RATES, RATES)
def test_what_is_as_good_is_never_worse(elder: Quality, successor: Quality) -> None:
    """Nobody is sent back who fails no more often and answers no later; and worse is never said of both."""
    rules = SwapRules()
    assert not worse(elder, elder, rules)
    if successor.rate <= elder.rate and (successor.ttft_s or 0) <= (elder.ttft_s or 0):
        assert not worse(elder, successor, rules)
    said = worse(elder, successor, rules)
    if said:
        assert said.endswith(".")


@pytest.mark.parametrize(
    ("elder", "successor", "word"),
    [
        (Quality(requests=100), Quality(requests=5, failed=3), "3 of its 5"),
        (Quality(requests=100), Quality(requests=5, failed=2), ""),
        (Quality(requests=100, failed=50), Quality(requests=10, failed=5), ""),
        (Quality(requests=100, ttft_s=0.1), Quality(requests=100, ttft_s=0.2), "200 ms"),
        (Quality(requests=100, ttft_s=0.1), Quality(requests=100, ttft_s=0.14), ""),
        (Quality(requests=19, ttft_s=0.1), Quality(requests=100, ttft_s=9.0), ""),
        (Quality(), Quality(requests=100, failed=4), "of the elder's 0 of 0"),
        (Quality(), Quality(requests=100, failed=1), ""),
    ],
)
def test_when_a_canary_is_worse(elder: Quality, successor: Quality, word: str) -> None:
    """A table of what is seen and what is said of it."""
    said = worse(elder, successor, SwapRules())
    assert word in said and bool(said) == bool(word)


def test_every_open_state_has_a_step() -> None:
    """The table of steps and the machine name the same states."""
    assert set(swapping.STEPS) == set(swaps.OPEN)
    assert set(swapping.SERVING) <= deployments.NEEDS_SERVER
