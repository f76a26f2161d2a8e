"""Images in the ledger: wanted, built, ready or failed; an overlay before its deployment's first server."""

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle import actions, deployments, images, queries
from lifecycle.errors import Refused
from lifecycle.imagefolder import before, current, image_folder, overlay_id, point, read_image, uses
from lifecycle.jobs import JobState
from lifecycle.reconcile import tick
from lifecycle.runfolder import write_json
from tests.lifecycle.test_story import NAME, kinds, now
from tests.lifecycle.town import SHA, Killed, Town, plan

PACKAGES = "git+https://example.com/you/vllm@0123abc"


@pytest.fixture
def town(tmp_path: Path):
    town = Town(tmp_path)
    yield town
    town.ledger.close()


def finish(town: Town, image: str, digest: str = "sha256:1") -> None:
    write_json(image_folder(town.shared, image) / "image.json", {"id": image, "digest": digest})


def state(town: Town, image: str) -> str:
    return images.find(town.ledger.connection, image).state


def test_from_wanted_to_ready(town: Town) -> None:
    """One job, one event for each arrow; what image.json says is kept."""
    assert images.want(town.ledger, "a", "nightly", "venv", by="alice")
    assert not images.want(town.ledger, "a", "nightly", "venv")
    with pytest.raises(Refused, match="a is being built of nightly already"):
        images.want(town.ledger, "b", "nightly", "venv")
    tick(town.world)
    assert town.scheduler.submissions == ["dz-image-a"] and state(town, "a") == images.BUILDING
    town.scheduler.set("1", JobState.RUNNING)
    tick(town.world)
    finish(town, "a")
    town.scheduler.set("1", JobState.SUCCEEDED)
    tick(town.world)
    found = images.find(town.ledger.connection, "a")
    assert (found.state, found.digest) == (images.READY, "sha256:1")
    said = [e.kind for e in queries.events_after(town.ledger.connection, 0) if e.kind.startswith("image.")]
    assert said == ["image.wanted", "image.submitted", "image.built"]


@pytest.mark.parametrize(
    ("ended", "failure", "says"),
    [
        (JobState.FAILED, {"sentence": "pip has no wheel.", "next_step": "Wait.", "job": "1"}, "pip has no wheel."),
        (JobState.FAILED, {"sentence": "An older run's.", "job": "0"}, "without leaving a reason"),
        (JobState.CANCELLED, None, "Somebody cancelled job 1"),
        (JobState.SUCCEEDED, None, "without leaving a reason"),
    ],
)
def test_what_a_build_fails_of(town: Town, ended: JobState, failure: dict | None, says: str) -> None:
    """The builder's sentence when it is this job's, else what the scheduler saw."""
    images.want(town.ledger, "a", "nightly", "venv")
    tick(town.world)
    if failure:
        write_json(image_folder(town.shared, "a") / "failure.json", failure)
    town.scheduler.set("1", ended)
    tick(town.world)
    found = images.find(town.ledger.connection, "a")
    assert found.state == images.FAILED and says in found.reason and found.next_step


def test_a_bot_killed_after_the_submission_submits_nothing_twice(town: Town) -> None:
    """The job is found again by its name."""
    images.want(town.ledger, "a", "nightly", "venv")
    town.scheduler.kill_after_submit = True
    with pytest.raises(Killed):
        tick(town.world)
    tick(town.world)
    assert town.scheduler.submissions == ["dz-image-a"]
    assert images.find(town.ledger.connection, "a").handle == "1"


def test_the_link_moves_in_one_step_and_back(tmp_path: Path) -> None:
    """Never to something unfinished; a rollback leads to what was used before and is still there."""
    with pytest.raises(FileNotFoundError):
        point(tmp_path, "a", "alice")
    for name in ("a", "b", "c"):
        write_json(image_folder(tmp_path, name) / "image.json", {"id": name, "digest": "d"})
        point(tmp_path, name, "alice")
    assert current(tmp_path) == "c" and before(tmp_path) == "b"
    (image_folder(tmp_path, "b") / "image.json").unlink()
    assert before(tmp_path) == "a"
    with (tmp_path / "images" / "uses.jsonl").open("a") as file:
        file.write('{"at": 1, "id"')  # a crash in the middle of a line
    assert [line["id"] for line in uses(tmp_path)] == ["a", "b", "c"]
    point(tmp_path, "a", "bob")
    assert current(tmp_path) == "a"


def approve_with_overlay(town: Town) -> None:
    town.ledger.found("model", "acme/Tiny-Good", SHA)
    release = queries.release_of(town.ledger.connection, "model", "acme/Tiny-Good", SHA)
    town.ledger.learn(release, None, replace(plan(), overlay=PACKAGES))
    release = queries.release(town.ledger.connection, release.id)
    actions.approve(town.ledger, release.id, release.plan.digest, by="alice")
    town.publish_weights(queries.deployment(town.ledger.connection, NAME))


def test_no_server_before_its_overlay(town: Town) -> None:
    """Built once, in the name of who approved; then the server starts."""
    approve_with_overlay(town)
    name = overlay_id("", PACKAGES)
    for _ in range(6):
        tick(town.world)
    assert town.scheduler.submissions == [f"dz-image-{name}"] and now(town) == deployments.STARTING
    row = images.find(town.ledger.connection, name)
    assert (row.reference, row.created_by) == (f"- {PACKAGES}", "alice")
    finish(town, name)
    town.scheduler.set("1", JobState.SUCCEEDED)
    for _ in range(3):
        tick(town.world)
    assert [key.split("-serve-")[-1] for key in town.scheduler.submissions[1:]] == ["1"]
    assert read_image(town.shared, name) and kinds(town).count("server.wanted") == 1


def test_an_overlay_that_fails_breaks_its_deployment_and_retry_builds_it_again(town: Town) -> None:
    """With the builder's words; nothing is served without what was approved."""
    approve_with_overlay(town)
    for _ in range(3):
        tick(town.world)
    write_json(
        image_folder(town.shared, overlay_id("", PACKAGES)) / "failure.json",
        {"sentence": "No such commit.", "job": "1"},
    )
    town.scheduler.set("1", JobState.FAILED)
    for _ in range(3):
        tick(town.world)
    broken = queries.deployment(town.ledger.connection, NAME)
    assert broken.state == deployments.BROKEN and "No such commit." in broken.reason
    actions.retry(town.ledger, NAME, by="alice")
    for _ in range(4):
        tick(town.world)
    assert len(town.scheduler.submissions) == 2 and now(town) == deployments.STARTING
