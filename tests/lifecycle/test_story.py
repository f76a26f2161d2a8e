"""The steps in a town in memory: the straight story, each way it goes wrong, a kill between any two of its steps."""

import contextlib

import pytest

from bot.stories import owner_line
from lifecycle import actions, deployments, queries, servers, victims
from lifecycle.jobs import JobState, Sighting, Victim
from lifecycle.ledger import Ledger
from lifecycle.naming import job_key
from lifecycle.reconcile import tick
from lifecycle.runfolder import RunFolder, write_json
from tests.lifecycle.town import SHA, Killed, Town, plan

NAME = "tiny-good-3f2a1b"


def approve(town: Town) -> str:
    town.ledger.found("model", "acme/Tiny-Good", SHA)
    release = queries.release_of(town.ledger.connection, "model", "acme/Tiny-Good", SHA)
    town.ledger.learn(release, None, plan())
    release = queries.release(town.ledger.connection, release.id)
    made, _ = actions.approve(town.ledger, release.id, release.plan.digest, by="alice")
    return made


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.ledger.close()


def now(town: Town) -> str:
    return queries.deployment(town.ledger.connection, NAME).state


def play(town: Town) -> None:
    """Slurm and the nodes do the next thing that they would do: jobs start, jobs finish, files appear."""
    jobs = {job.name: job for job in town.scheduler.jobs.values()}
    deployment = queries.deployment(town.ledger.connection, NAME)
    for name, job in jobs.items():
        if job.state is JobState.QUEUED:
            town.scheduler.set(job.handle, JobState.RUNNING, nodes=("a", "b"), started_at=town.clock())
        elif job.state is JobState.RUNNING and "-cache-" in name:
            town.publish_weights(deployment)
            town.scheduler.set(job.handle, JobState.SUCCEEDED)
        elif job.state is JobState.RUNNING and "-serve-" in name:
            town.endpoint(NAME, int(name.rpartition("-")[2]))
        elif job.state is JobState.RUNNING and "-exam-" in name:
            town.scheduler.set(job.handle, JobState.SUCCEEDED)


def run(town: Town, until: str, ticks: int = 30) -> None:
    for _ in range(ticks):
        if now(town) == until:
            return
        tick(town.world)
        play(town)
    raise AssertionError(
        f"it is {now(town)}, not {until}: {[e.kind for e in queries.history(town.ledger.connection, NAME)]}"
    )


def kinds(town: Town) -> list[str]:
    return [e.kind for e in queries.history(town.ledger.connection, NAME)]


def test_the_straight_story(town: Town) -> None:
    """Approved, cached, served, listed, tested, in preview; then stable, then retired and every job is over."""
    approve(town)
    run(town, deployments.PREVIEW)
    moves = [k for k in kinds(town) if k.startswith("deployment.")]
    assert moves == [f"deployment.{e}" for e in ("approved", "cached", "healthy", "listed", "passed")]
    rows = town.ledger.connection.execute("SELECT tag, url FROM routes").fetchall()
    assert [tuple(r) for r in rows] == [("preview", "http://node:1")]
    actions.promote(town.ledger, NAME, "stable", by="alice")
    actions.retire(town.ledger, NAME, by="alice")
    run(town, deployments.RETIRED)
    assert queries.live_jobs(town.ledger.connection) == []
    assert town.ledger.connection.execute("SELECT count(*) FROM routes").fetchone()[0] == 0
    assert town.scheduler.submissions == [
        job_key(NAME, "cache", 1),
        job_key(NAME, "serve", 1),
        job_key(NAME, "exam", 1, 1),
    ]


@pytest.mark.parametrize(("outcome", "state"), [("FAIL", "RETIRED"), ("INCONCLUSIVE", "HELD")])
def test_a_model_that_does_not_pass_is_never_in_preview(town: Town, outcome: str, state: str) -> None:
    """FAIL drains, INCONCLUSIVE waits for a person; both keep the reasons."""
    town.exams.outcome, town.exams.reasons = outcome, ("It leaked.",)
    approve(town)
    run(town, state)
    assert queries.deployment(town.ledger.connection, NAME).reason == "It leaked."
    assert "deployment.passed" not in kinds(town)
    if state == "HELD":
        actions.promote(town.ledger, NAME, "preview", by="alice", because="graded by hand")
        assert now(town) == deployments.PREVIEW


def test_one_question_per_tick_however_many_jobs(town: Town) -> None:
    """As many questions to the scheduler for 100 live jobs as for one; an idle tick asks nothing."""
    tick(town.world)
    assert town.scheduler.questions == 0
    for n in range(100):
        town.ledger.found("model", f"acme/m{n}", SHA)
        release = queries.release_of(town.ledger.connection, "model", f"acme/m{n}", SHA)
        town.ledger.approve(release, plan(f"acme/m{n}"), by="alice")
    tick(town.world)
    before = town.scheduler.questions
    tick(town.world)
    assert town.scheduler.questions == before + 1
    assert len(town.scheduler.submissions) == 100


class Bomb:
    """Dies at the n-th event that is written, after the transaction is through, as SIGKILL would."""

    def __init__(self, ledger: Ledger, fuse: int):
        self.left, self.note = fuse, ledger.note
        self.ledger = ledger

    def __call__(self, *args, **kwargs):
        row = self.note(*args, **kwargs)
        self.left -= 1
        if self.left == 0:
            self.ledger.connection.commit() if self.ledger.connection.in_transaction else None
            raise Killed
        return row


def events_of_the_story(tmp_path) -> int:
    town = Town(tmp_path / "count")
    approve(town)
    run(town, deployments.PREVIEW)
    count = len(kinds(town))
    town.ledger.close()
    return count


def test_killed_after_any_event_it_ends_the_same(tmp_path) -> None:
    """Killed after each event in turn and started again, the story ends in preview and no job is submitted twice."""
    total = events_of_the_story(tmp_path)
    assert total > 8
    for fuse in range(1, total + 1):
        town = Town(tmp_path / str(fuse))
        approve(town)
        bomb = Bomb(town.ledger, fuse)
        town.ledger.note = bomb  # type: ignore[method-assign]
        try:
            run(town, deployments.PREVIEW)
        except Killed:
            if town.ledger.connection.in_transaction:
                town.ledger.connection.rollback()
            del town.ledger.note
            run(town, deployments.PREVIEW)
        assert len(town.scheduler.submissions) == len(set(town.scheduler.submissions)) == 3, (
            f"killed after event {fuse}"
        )
        town.ledger.close()


@pytest.mark.parametrize("purpose", ["cache", "serve", "exam"])
def test_killed_between_submission_and_its_answer(town: Town, purpose: str) -> None:
    """The job exists, its id was never written down: it is found by name, not submitted again."""
    approve(town)
    for _ in range(40):
        if now(town) == deployments.PREVIEW:
            break
        key_next = {deployments.CACHING: "cache", deployments.STARTING: "serve", deployments.TESTING: "exam"}.get(
            now(town)
        )
        town.scheduler.kill_after_submit = key_next == purpose and not any(
            purpose in s for s in town.scheduler.submissions
        )
        with contextlib.suppress(Killed):
            tick(town.world)
        play(town)
    assert now(town) == deployments.PREVIEW
    assert len(town.scheduler.submissions) == 3
    recovered = [e for e in queries.history(town.ledger.connection, NAME) if e.detail.get("recovered")]
    assert [e.detail["purpose"] for e in recovered] == [purpose]


def test_a_silent_scheduler_moves_nothing(town: Town) -> None:
    """While Slurm gives no answer nothing is lost and nothing repeats; one event says so, one says it is back."""
    approve(town)
    run(town, deployments.STARTING)
    tick(town.world), tick(town.world)
    town.scheduler.silent = True
    before = kinds(town)
    for _ in range(5):
        tick(town.world)
    assert kinds(town) == before
    town.scheduler.silent = False
    run(town, deployments.PREVIEW)
    notes = [e.kind for e in queries.events_after(town.ledger.connection, 0) if "scheduler" in e.kind]
    assert notes == ["note.scheduler_silent", "note.scheduler_back"]
    assert len(town.scheduler.submissions) == 3


def test_a_lost_server_is_replaced_within_a_budget(town: Town) -> None:
    """A server that dies is wanted again; the third death in a row breaks the deployment, a retry starts again."""
    approve(town)
    run(town, deployments.STARTING)
    for n in (1, 2, 3):
        tick(town.world), tick(town.world)
        handle = town.scheduler.handle_of(job_key(NAME, "serve", n))
        town.scheduler.set(handle, JobState.RUNNING, started_at=town.clock())
        tick(town.world)
        town.fail(RunFolder(town.shared, NAME).server(n), handle, "The engine ran out of memory.", True)
        town.scheduler.set(handle, JobState.FAILED)
        tick(town.world)
    tick(town.world)
    deployment = queries.deployment(town.ledger.connection, NAME)
    assert (deployment.state, deployment.reason) == (deployments.BROKEN, "The engine ran out of memory.")
    actions.retry(town.ledger, NAME, by="alice")
    run(town, deployments.PREVIEW)


def test_a_failure_that_cannot_heal_breaks_at_once(town: Town) -> None:
    """Not retryable: no second server."""
    approve(town)
    run(town, deployments.STARTING)
    tick(town.world), tick(town.world)
    handle = town.scheduler.handle_of(job_key(NAME, "serve", 1))
    town.fail(RunFolder(town.shared, NAME).server(1), handle, "No engine knows this architecture.", False)
    town.scheduler.set(handle, JobState.FAILED)
    tick(town.world), tick(town.world)
    assert now(town) == deployments.BROKEN
    assert len(town.scheduler.submissions) == 2


def test_a_job_cancelled_by_an_admin_is_not_resubmitted(town: Town) -> None:
    """Somebody's scancel is a decision."""
    approve(town)
    run(town, deployments.PREVIEW)
    town.scheduler.set(town.scheduler.handle_of(job_key(NAME, "serve", 1)), JobState.CANCELLED)
    tick(town.world), tick(town.world)
    assert now(town) == deployments.BROKEN
    assert "Somebody cancelled" in queries.deployment(town.ledger.connection, NAME).reason


def test_a_requeued_server_comes_back_under_its_old_id(town: Town) -> None:
    """Requeued: out of the routes at once; its elder's endpoint file is not believed; then up again, same job."""
    approve(town)
    run(town, deployments.PREVIEW)
    handle = town.scheduler.handle_of(job_key(NAME, "serve", 1))
    town.scheduler.set(handle, JobState.QUEUED, restarts=1)
    tick(town.world)
    assert town.ledger.connection.execute("SELECT count(*) FROM routes").fetchone()[0] == 0
    town.scheduler.set(handle, JobState.RUNNING, restarts=1)
    tick(town.world), tick(town.world)
    assert queries.servers_of(town.ledger.connection, NAME)[0].state == servers.LOADING
    town.endpoint(NAME, restarts=1)
    tick(town.world)
    assert queries.servers_of(town.ledger.connection, NAME)[0].state == servers.UP
    assert len(town.scheduler.submissions) == 3


def test_a_download_is_tried_again_or_breaks_with_its_sentence(town: Town) -> None:
    """Retryable failures get another attempt under a new name; others break with the job's own sentence."""
    approve(town)
    tick(town.world)
    handle = town.scheduler.handle_of(job_key(NAME, "cache", 1))
    town.fail(RunFolder(town.shared, NAME).cache, handle, "The Hub hung up.", True)
    town.scheduler.set(handle, JobState.FAILED)
    tick(town.world)
    assert town.scheduler.submissions == [job_key(NAME, "cache", 1), job_key(NAME, "cache", 2)]
    handle = town.scheduler.handle_of(job_key(NAME, "cache", 2))
    town.fail(RunFolder(town.shared, NAME).cache, handle, "No space left.", False)
    town.scheduler.set(handle, JobState.FAILED)
    tick(town.world)
    assert now(town) == deployments.BROKEN
    actions.retry(town.ledger, NAME, by="alice")
    run(town, deployments.PREVIEW)


def test_victims_are_told_what_really_happened(town: Town) -> None:
    """Expected before; requeued when it was; resumed when it runs again; the one that was not needed is spared."""
    one, two = (
        Victim(handle=str(n), name=f"train{n}", user="bob", node_count=1, gpus=8, ran_s=3600) for n in (901, 902)
    )
    town.scheduler.victims = (one, two)
    for victim in (one, two):
        town.scheduler.jobs[victim.handle] = Sighting(
            handle=victim.handle, name=victim.name, state=JobState.RUNNING, word="RUNNING"
        )
    approve(town)
    run(town, deployments.STARTING)
    tick(town.world), tick(town.world)
    assert kinds(town).count("victim.expected") == 2
    town.scheduler.set("901", JobState.QUEUED, restarts=1)
    town.scheduler.set(town.scheduler.handle_of(job_key(NAME, "serve", 1)), JobState.RUNNING, started_at=town.clock())
    tick(town.world)
    town.clock.now += 60
    tick(town.world)
    states = {v.handle: v.state for v in queries.victims_of(town.ledger.connection, NAME)}
    assert states == {"901": victims.REQUEUED, "902": victims.SPARED}
    town.scheduler.set("901", JobState.RUNNING, restarts=1)
    tick(town.world)
    assert queries.victims_of(town.ledger.connection, NAME)[0].state == victims.RESUMED


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING])
def test_a_victim_that_ended_by_itself_is_told_so(town: Town, state: JobState) -> None:
    """It was not spared to go on: if it only ended because it was told to stop, its owner must submit it again."""
    town.scheduler.victims = (Victim(handle="901", name="train", user="bob", node_count=1, gpus=8, ran_s=3600),)
    town.scheduler.jobs["901"] = Sighting(handle="901", name="train", state=JobState.RUNNING, word="RUNNING")
    approve(town)
    run(town, deployments.STARTING)
    tick(town.world), tick(town.world)
    town.scheduler.set("901", state)
    town.scheduler.set(town.scheduler.handle_of(job_key(NAME, "serve", 1)), JobState.RUNNING, started_at=town.clock())
    tick(town.world)
    town.clock.now += 60
    tick(town.world)
    (spared,) = (e for e in queries.history(town.ledger.connection, NAME) if e.kind == "victim.spared")
    told = owner_line(spared, queries.deployment(town.ledger.connection, NAME))
    assert ("it goes on" in told) == (state is JobState.RUNNING) and ("submit it again" in told) == state.ended


def test_a_poisoned_row_does_not_stop_the_others(town: Town) -> None:
    """One row raises: it is pushed forward and recorded once; the other goes on."""
    approve(town)
    town.ledger.found("model", "acme/other", SHA)
    release = queries.release_of(town.ledger.connection, "model", "acme/other", SHA)
    town.ledger.approve(release, plan("acme/other"), by="alice")
    good = town.recipes.cache

    def cache(deployment, attempt):
        if deployment.id == NAME:
            raise RuntimeError("boom")
        return good(deployment, attempt)

    town.recipes.cache = cache  # type: ignore[method-assign]
    result = tick(town.world)
    assert result.stumbles == (f"{NAME}: RuntimeError: boom",)
    assert town.scheduler.submissions == [job_key("other-3f2a1b", "cache", 1)]
    assert kinds(town).count("note.stumbled") == 1
    tick(town.world)
    assert kinds(town).count("note.stumbled") == 1, "it is not due yet"


def test_a_sick_server_leaves_the_routes_and_recovers(town: Town) -> None:
    """An engine that does not answer is out of rotation until its heartbeat is healthy again."""
    approve(town)
    run(town, deployments.PREVIEW)
    beat = RunFolder(town.shared, NAME).server(1) / "heartbeat.json"
    write_json(beat, {"healthy": False, "note": "No token moved for 120 s.", "at": town.clock()})
    tick(town.world)
    assert town.ledger.connection.execute("SELECT count(*) FROM routes").fetchone()[0] == 0
    write_json(beat, {"healthy": True, "at": town.clock()})
    tick(town.world)
    assert town.ledger.connection.execute("SELECT count(*) FROM routes").fetchone()[0] == 1
