"""What a tick does with a verdict that is not ready, and with one that people gave later."""

import pytest

from lifecycle import deployments, queries
from lifecycle.jobs import JobState
from lifecycle.naming import job_key
from lifecycle.ports import Verdict
from lifecycle.reconcile import tick
from tests.lifecycle.test_story import NAME, approve, kinds, play, run
from tests.lifecycle.town import Town


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.ledger.close()


def test_a_picture_that_is_being_drawn_is_waited_for_without_a_hold_up(town: Town) -> None:
    """It stays in TESTING tick by tick, and moves at the first one after the drawing."""
    town.exams.drawing = True
    approve(town)
    run(town, deployments.TESTING)
    with pytest.raises(AssertionError, match="it is TESTING"):
        run(town, deployments.PREVIEW, ticks=6)
    town.exams.drawing = False
    run(town, deployments.PREVIEW)


@pytest.mark.parametrize(("outcome", "state"), [("PASS", "PREVIEW"), ("FAIL", "RETIRED"), ("INCONCLUSIVE", "HELD")])
def test_peoples_grades_decide_what_was_held(town: Town, outcome: str, state: str) -> None:
    """Their verdict moves it on, with its reasons; while they leave it open it stays HELD."""
    town.exams.outcome = "INCONCLUSIVE"
    approve(town)
    run(town, deployments.HELD)
    town.exams.by_people = Verdict(outcome=outcome, reasons=("People said so.",))
    tick(town.world)
    run(town, state)
    if outcome != "INCONCLUSIVE":
        assert queries.deployment(town.ledger.connection, NAME).verdict["reasons"] == ["People said so."]


def _second_look(town: Town) -> str:
    """To the moment when the array of the second look is queued; its key."""
    town.exams.reserve = "Sums: asked 12 more, because nobody could tell."
    approve(town)
    run(town, deployments.TESTING)
    second = job_key(NAME, "exam", 1, 2)
    for _ in range(8):
        tick(town.world)
        if second in town.scheduler.submissions:
            return second
        play(town)
    raise AssertionError(kinds(town))


def test_too_few_samples_are_asked_more_by_a_second_array(town: Town) -> None:
    """One more submission, said once with its reason, shown while it runs; then the verdict counts."""
    second = _second_look(town)
    tick(town.world)
    assert queries.deployment(town.ledger.connection, NAME).progress["note"] == town.exams.more
    town.exams.more_begun, town.exams.shards_done = True, 3
    run(town, deployments.PREVIEW)
    assert kinds(town).count("note.exam_more") == 1 and "note.exam_again" not in kinds(town)
    assert [key for key in town.scheduler.submissions if "-exam-" in key] == [job_key(NAME, "exam", 1, 1), second]


def test_a_second_look_that_dies_is_tried_again_within_its_attempts(town: Town) -> None:
    """Its array ends unfinished: one more try, then what there is decides."""
    _second_look(town)
    town.exams.more_begun, town.exams.outcome = True, "INCONCLUSIVE"
    run(town, deployments.HELD)
    assert len([key for key in town.scheduler.submissions if "-exam-" in key]) == 3
    assert (kinds(town).count("note.exam_more"), kinds(town).count("note.exam_again")) == (1, 1)


def test_a_second_look_that_a_person_cancels_is_not_tried_again(town: Town) -> None:
    """It stays open: a person decides."""
    second = _second_look(town)
    town.exams.outcome = "INCONCLUSIVE"
    town.scheduler.set(town.scheduler.handle_of(second), JobState.CANCELLED)
    run(town, deployments.HELD)
    assert len([key for key in town.scheduler.submissions if "-exam-" in key]) == 2
