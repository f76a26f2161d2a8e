"""A deployment that was approved for some time: warned once, longer by a person's word, then retired."""

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle import actions, deployments, ending, queries
from lifecycle.errors import Refused, WrongMove
from lifecycle.reconcile import tick
from lifecycle.records import Deployment
from tests.lifecycle.test_story import NAME, run
from tests.lifecycle.town import SHA, Town, plan

HOUR = 3600.0


def approve(town: Town, lasts_s: float | None) -> None:
    its_plan = replace(plan(), lasts_s=lasts_s)
    town.ledger.found("model", its_plan.model, SHA)
    release = queries.release_of(town.ledger.connection, "model", its_plan.model, SHA)
    assert town.ledger.approve(release, its_plan, by="alice") == NAME


def now(town: Town) -> Deployment:
    return queries.deployment(town.ledger.connection, NAME)


def served(folder: Path, lasts_s: float | None) -> Town:
    """A town whose one deployment is in preview."""
    town = Town(folder)
    approve(town, lasts_s)
    run(town, deployments.PREVIEW)
    return town


def at(town: Town, seconds: float) -> Deployment:
    """Two ticks, so long from now."""
    town.clock.now += seconds
    tick(town.world)
    tick(town.world)
    return now(town)


def warnings(town: Town) -> int:
    return sum(e.kind == "note.ending" for e in queries.history(town.ledger.connection, NAME))


def test_it_is_warned_of_once_and_retired_when_its_time_is_over(tmp_path: Path) -> None:
    """12 hours: an hour before the end one note, however many ticks; then it drains, with the reason in the history."""
    town = served(tmp_path, 12 * HOUR)
    assert at(town, 10.9 * HOUR).state == deployments.PREVIEW and warnings(town) == 0
    assert at(town, 0.2 * HOUR).state == deployments.PREVIEW and warnings(town) == 1
    assert at(town, 0.5 * HOUR).state == deployments.PREVIEW and warnings(town) == 1
    gone = at(town, 0.5 * HOUR)
    assert gone.state in (deployments.DRAINING, deployments.RETIRED) and gone.reason == "Its time is over."


def test_extended_it_serves_longer_and_is_warned_again(tmp_path: Path) -> None:
    """Two hours more are two hours more, by whoever asked; the new end has a warning of its own; a demotion or a
    promotion meanwhile moves nothing."""
    town = served(tmp_path, 4 * HOUR)
    assert at(town, 3.5 * HOUR).state == deployments.PREVIEW and warnings(town) == 1
    assert "2 hours longer" in actions.extend(town.ledger, NAME, 2, by="alice")
    actions.promote(town.ledger, NAME, "stable", by="alice")
    assert at(town, 1 * HOUR).state == deployments.STABLE and warnings(town) == 1
    assert at(town, 1.2 * HOUR).state == deployments.STABLE and warnings(town) == 2
    assert at(town, 0.4 * HOUR).state in (deployments.DRAINING, deployments.RETIRED)
    with pytest.raises(WrongMove, match=r"DRAINING|RETIRED"):
        actions.extend(town.ledger, NAME, 2, by="alice")


def test_what_has_no_end_or_has_not_begun_is_not_extended(tmp_path: Path) -> None:
    """Each refusal says why; a deployment without an end serves on."""
    town = served(tmp_path, None)
    with pytest.raises(Refused, match="has no end"):
        actions.extend(town.ledger, NAME, 2, by="alice")
    assert at(town, 1000 * HOUR).state != deployments.DRAINING
    other = Town(tmp_path / "other")
    approve(other, HOUR)
    with pytest.raises(Refused, match="begins when it is in preview"):
        actions.extend(other.ledger, NAME, 2, by="alice")
    assert ending.ends_at(other.ledger.connection, now(other)) is None
