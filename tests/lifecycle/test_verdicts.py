"""What a tick does with a verdict that is not ready, and with one that people gave later."""

import pytest

from lifecycle import deployments, queries
from lifecycle.ports import Verdict
from lifecycle.reconcile import tick
from tests.lifecycle.test_story import NAME, approve, run
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
