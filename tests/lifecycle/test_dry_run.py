"""The dry run during the download: one job, said once, gone before the server is wanted, never in the way."""

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle import actions, deployments, queries
from lifecycle.dry_run import PATIENCE_S
from lifecycle.jobs import JobState
from lifecycle.naming import job_key
from lifecycle.plans import Rung
from lifecycle.reconcile import tick
from lifecycle.runfolder import RunFolder, write_json
from tests.lifecycle.test_story import NAME, kinds, now
from tests.lifecycle.town import SHA, Town, plan

CACHE, DRY, SERVE = job_key(NAME, "cache", 1), job_key(NAME, "dry", 1), job_key(NAME, "serve", 1)


def approved(folder: Path, engine: str = "vllm", **limits: object) -> Town:
    town = Town(folder, **{"dry_run": True, **limits})
    town.ledger.found("model", "acme/Tiny-Good", SHA)
    release = queries.release_of(town.ledger.connection, "model", "acme/Tiny-Good", SHA)
    town.ledger.learn(release, None, replace(plan(), ladder=(Rung(engine=engine, runtime=engine),)))
    release = queries.release(town.ledger.connection, release.id)
    actions.approve(town.ledger, release.id, release.plan.digest, by="alice")
    return town


def ticks(town: Town, number: int = 4) -> None:
    for _ in range(number):
        tick(town.world)


@pytest.mark.parametrize(("engine", "limits"), [("transformers", {}), ("vllm", {"dry_run": False})])
def test_where_there_is_nothing_to_try(tmp_path: Path, engine: str, limits: dict) -> None:
    """Another engine first, or switched off: no job."""
    town = approved(tmp_path, engine, **limits)
    ticks(town)
    assert town.scheduler.submissions == [CACHE]
    town.ledger.close()


def test_it_is_said_once_and_gone_before_the_server(tmp_path: Path) -> None:
    """The download's job first, then the trial; its word is in the history once; the server waits for its GPUs."""
    town = approved(tmp_path)
    ticks(town)
    assert town.scheduler.submissions == [CACHE, DRY]
    handle = town.scheduler.handle_of(DRY)
    town.scheduler.set(handle, JobState.RUNNING)
    folder = RunFolder(town.shared, NAME).path / "dry"
    write_json(folder / "result.json", {"ok": False, "sentence": "It doesn't know Foo.", "next_step": "x", "job": "0"})
    ticks(town)
    assert "note.dry_run" not in kinds(town), "an older job's word"
    write_json(
        folder / "result.json", {"ok": False, "sentence": "It doesn't know Foo.", "next_step": "x", "job": handle}
    )
    ticks(town)
    assert kinds(town).count("note.dry_run") == 1 and now(town) == deployments.CACHING
    cancelled: list[str] = []
    town.scheduler.cancel = lambda handle, gently=False: cancelled.append(handle)
    town.publish_weights(queries.deployment(town.ledger.connection, NAME))
    ticks(town)
    assert cancelled == [handle] and SERVE not in town.scheduler.submissions
    town.scheduler.set(handle, JobState.CANCELLED)
    ticks(town)
    assert SERVE in town.scheduler.submissions and kinds(town).count("note.dry_run") == 1
    town.ledger.close()


def test_a_trial_that_does_not_end_holds_nobody_up(tmp_path: Path) -> None:
    """After a minute and a half the server goes its way all the same."""
    town = approved(tmp_path)
    ticks(town)
    town.scheduler.set(town.scheduler.handle_of(DRY), JobState.RUNNING)
    town.scheduler.cancel = lambda handle, gently=False: None
    town.publish_weights(queries.deployment(town.ledger.connection, NAME))
    ticks(town)
    assert SERVE not in town.scheduler.submissions
    town.clock.now += PATIENCE_S + 1
    ticks(town)
    assert SERVE in town.scheduler.submissions
    town.ledger.close()
