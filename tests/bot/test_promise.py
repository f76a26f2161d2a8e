"""The promise of a day: the clock, the warnings with reason and remedy, and how long each stage took."""

from pathlib import Path

import pytest

from bot import pace, promise
from lifecycle import queries, releases
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from tests.lifecycle.town import plan

SHA = "3f2a1b" + "0" * 34
HOUR = 3600


class Office:
    """A ledger whose time the test sets."""

    def __init__(self, folder: Path):
        self.now = 1_000_000.0
        self.ledger = Ledger(folder / "ledger.db", lambda: self.now)
        self.db = self.ledger.connection

    def publish(self, repo: str = "acme/Tiny-Good", **more) -> None:
        self.ledger.found("model", repo, SHA, **{"published_at": self.now, **more})

    @property
    def release(self):
        return queries.releases_in(self.db, *releases.RELEASE.table)[0]

    @property
    def deployment(self):
        return queries.deployments(self.db, retired=True)[0]

    def offer(self) -> None:
        self.ledger.learn(self.release, ModelFacts(repo=self.release.repo, revision=SHA), plan(self.release.repo))
        self.ledger.move_release(self.release, "offered")

    def approve(self) -> None:
        assert self.ledger.approve(self.release, self.release.plan, by="alice")

    def warned(self) -> list[dict]:
        promise.warn(self.ledger, 24, (12, 20))
        return [e.detail for e in queries.events_after(self.db, 0) if e.kind == promise.KIND]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_clock_runs_from_publication_to_preview(office: Office) -> None:
    """Left, then over, then reached; skipped or given up: none; an old model that somebody deploys has none."""
    office.publish()
    began = office.now
    clock = promise.clock(office.db, office.release, 24)
    assert clock.words(began + 4.5 * HOUR) == "19 h 30 min left of 24 h to preview"
    assert "over 2 h" in clock.words(began + 26 * HOUR)
    office.offer()
    office.approve()
    for event in ("cached", "healthy", "listed", "passed"):
        office.now += HOUR
        office.ledger.move_deployment(office.deployment, event)
    assert promise.clock(office.db, office.release, 24).words(office.now) == "in preview 4 h after publication"
    assert promise.lines(office.db, [office.release.id], 24, office.now) == []


@pytest.mark.parametrize("end", ["skipped", "withdrawn", "cancelled"])
def test_nobody_waits_for_what_was_given_up(office: Office, end: str) -> None:
    """Decided against, gone upstream, or taken down before its preview: no clock, no warning."""
    office.publish()
    office.offer()
    if end == "cancelled":
        office.approve()
        office.ledger.move_deployment(office.deployment, "cancelled")
    else:
        office.ledger.move_release(office.release, end)
    office.now += 30 * HOUR
    assert promise.clock(office.db, office.release, 24) is None and office.warned() == []


def test_what_was_old_when_we_met_it_has_no_clock(office: Office) -> None:
    """Public for a year; somebody deploys it today."""
    office.publish(published_at=office.now - 365 * 86400)
    assert promise.clock(office.db, office.release, 24) is None


def test_each_mark_warns_once_with_reason_and_remedy(office: Office) -> None:
    """At 12 h, 20 h and when the time is over; asleep over two marks is one word; the reason is today's."""
    office.publish()
    office.offer()
    office.now += 11.9 * HOUR
    assert office.warned() == []
    office.now += 0.2 * HOUR
    for _ in range(3):
        (first,) = office.warned()
    assert "Nobody has decided" in first["sentence"] and "11 h 54 min left" in first["sentence"]
    assert first["next_step"] == "Approve it, or skip it."
    office.approve()
    office.ledger.move_deployment(office.deployment, "broke", reason="No room.", next_step="Make room.")
    office.now += 13 * HOUR
    _, last = office.warned()
    assert last["mark"] == 24 and "It broke: No room." in last["sentence"]
    assert "Make room." in last["next_step"] and "--engine transformers" in last["next_step"]
    assert len(office.warned()) == 2


def test_a_server_in_the_queue_is_told_what_starts_sooner(office: Office) -> None:
    """The reason is Slurm's, the remedy is less."""
    office.publish()
    office.offer()
    office.approve()
    office.ledger.move_deployment(office.deployment, "cached")
    progress = {"stage": "queue", "handle": "7", "reason": "Resources", "expected_start": None}
    office.ledger.amend("deployments", office.deployment.id, progress=progress)
    office.now += 21 * HOUR
    (said,) = office.warned()
    assert "job 7 waits (Resources)" in said["sentence"] and "--nodes 1" in said["next_step"]


def test_how_long_each_stage_took(office: Office) -> None:
    """From publication on, each stage until its first end; a stage that never ended is empty; medians below."""
    office.publish(published_at=office.now - 60)
    office.now += 30
    office.offer()
    office.now += 600
    office.approve()
    office.now += 100
    office.ledger.move_deployment(office.deployment, "cached")
    (found,) = pace.paces(office.db)
    assert found.stages == (60, 30, 600, 100, None, None, None) and found.total is None
    for event, seconds in (("healthy", 50), ("listed", 2), ("passed", 300)):
        office.now += seconds
        office.ledger.move_deployment(office.deployment, event)
    (found,) = pace.paces(office.db)
    assert found.stages[4:] == (50, 2, 300) and found.total == 60 + 30 + 600 + 100 + 50 + 2 + 300
    table = pace.shown([found, found])
    assert "19 min" in table and "(median)" in table
    assert pace.data([found])[0]["gauntlet"] == 300
    assert pace.shown([]) == "No release has been approved yet."
