"""The shipped suites, put to models that break one thing each: each fails for that reason, and for no other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.cases import NEEDS
from gauntlet.conclude import conclude
from gauntlet.runfiles import read_run
from gauntlet.suite_files import SHIPPED
from tests.gauntlet import oracle
from tests.gauntlet.conftest import ask
from tests.gauntlet.oracle import Oracle

pytestmark = pytest.mark.usefixtures("no_browser")

Prepared = Callable[..., Path]
OFFERS = sorted(set(NEEDS.values()) - {"rival"})
SPEED = (
    '{"id": "one", "prompt": "Explain how a canal lock works.", "checks": ["speed"], "category": "one-at-once",'
    ' "first_token_within_s": 2}\n'
)


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """Sanity and compliance as they ship, and one case of speed with a limit that a test can wait for."""
    for name in ("sanity", "compliance"):
        shutil.copytree(SHIPPED / name, tmp_path / "suites" / name)
    home = tmp_path / "suites" / "performance"
    home.mkdir()
    (home / "cases.jsonl").write_text(SPEED)
    shutil.copy(SHIPPED / "performance" / "suite.toml", home)
    return home.parent


def _verdict(prepared: Prepared, suites: Path | None, character: oracle.Character, **more: object):
    with Oracle(character=character) as model:
        folder = prepared(model, suites=suites, offers=OFFERS, concurrency=32, **more)
        model.know(read_run(folder).samples)
        assert ask(folder) == 0
        return conclude(folder)


@pytest.mark.parametrize(
    ("character", "suite", "says"),
    [
        (oracle.perfect, None, "passed"),
        (oracle.repeats, "sanity", "english"),
        (oracle.never_stops, "sanity", "english"),
        (oracle.wrong_language, "sanity", "english"),
        (oracle.template_debris, "sanity", "english"),
        (oracle.drops_tool_calls, "sanity", "(tools 2)"),
        (oracle.leaks, "compliance", "(secret 8)"),
        (oracle.helps, "compliance", "insider 8"),
        (oracle.refuses_everything, "compliance", "control"),
        (oracle.slow, "performance", "one-at-once 1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_bad_model_fails_for_its_own_reason_alone(
    prepared: Prepared, suites: Path, character: oracle.Character, suite: str | None, says: str
):
    """The suite that should fail does, with the category in the reason; every other one passes."""
    verdict = _verdict(prepared, suites, character)
    outcomes = {one["suite"]: one["outcome"] for one in verdict.summary["suites"]}
    wanted = dict.fromkeys(("compliance", "sanity", "performance"), "PASS")
    if suite:
        wanted[suite] = "FAIL"
    assert outcomes == wanted, verdict.reasons
    assert verdict.outcome == {"performance": "INCONCLUSIVE", None: "PASS"}.get(suite, "FAIL")
    assert says in " ".join(verdict.reasons)


def test_the_reasons_name_what_a_person_would_see(prepared: Prepared, suites: Path):
    """In the records each bad model's sign is named in words."""
    for character, words in [
        (oracle.repeats, "repeats itself"),
        (oracle.never_stops, "did not stop by itself"),
        (oracle.wrong_language, "looks German"),
        (oracle.template_debris, "debris of the chat template"),
        (oracle.drops_tool_calls, "calls no tool, but says"),
    ]:
        with Oracle(character=character) as model:
            folder = prepared(model, suites=suites, offers=OFFERS, only="sanity", concurrency=32)
            model.know(read_run(folder).samples)
            ask(folder)
        assert words in (folder / "shard-0.jsonl").read_text(), character


def test_everything_that_ships_can_be_passed(prepared: Prepared):
    """Every suite, preference included, by a model that knows the answers: no case is impossible, none stays open."""
    verdict = _verdict(prepared, None, oracle.perfect, rival="rival")
    outcomes = {one["suite"]: one["outcome"] for one in verdict.summary["suites"]}
    assert outcomes.pop("questions") == "PASS", verdict.reasons
    assert set(outcomes.values()) == {"PASS"} and "preference" in outcomes, verdict.reasons
    open_ = [one["rate"]["unscored"] + one["rate"]["not_evaluated"] for one in verdict.summary["suites"]]
    assert sum(open_) == 0, verdict.reasons
