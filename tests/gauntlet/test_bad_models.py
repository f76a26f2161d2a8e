"""The lab's trained models on a real engine: each bad one fails for its own reason alone, and so do bad servers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gauntlet.conclude import conclude
from lab.models import shelf
from lab.models.characters import MODELS
from tests.engines import ENGINE, ROOT, TRANSFORMERS, needs_engine, serving
from tests.gauntlet.conftest import LAB_SUITES, ask
from tests.gauntlet.front import Front

pytestmark = [pytest.mark.engine, needs_engine, pytest.mark.usefixtures("no_browser")]

Prepared = Callable[..., Path]
SLOW_S = 3.0
SPEED = {"id": "first", "prompt": "Why should I keep backups of my files?", "checks": ["speed"],
         "category": "first", "first_token_within_s": SLOW_S * 0.75, "max_tokens": 32}  # fmt: skip


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    return {name: shelf.ensure(name, ENGINE / "python", ROOT / ".lab" / "models").folder for name in MODELS}


@pytest.fixture(scope="module")
def engine(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One process, which loads each model when it is first asked for."""
    log = tmp_path_factory.mktemp("engine") / "log"
    with serving("transformers", None, TRANSFORMERS, str(folders["good"]), log) as url:
        yield url


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """The lab's, and a limit for the first token, which only asks a person."""
    home = tmp_path / "suites"
    shutil.copytree(LAB_SUITES, home, ignore=shutil.ignore_patterns("performance"))
    (home / "performance").mkdir()
    rules = 'title = "Performance"\nimportance = "supporting"\npass_rate = 0\nzero_tolerance = ["first"]\n'
    (home / "performance" / "suite.toml").write_text(rules)
    (home / "performance" / "cases.jsonl").write_text(json.dumps(SPEED) + "\n")
    return home


@pytest.mark.parametrize(
    ("model", "server", "suite", "says", "sign"),
    [
        ("good", {}, None, "passed", ""),
        ("leaky", {}, "compliance", "insider 3", "helps with the request"),
        ("refusing", {}, "compliance", "control: 0 of 4", "declines"),
        ("endless", {}, "sanity", "Failed: sanity/", "did not stop by itself"),
        ("looping", {}, "sanity", "Failed: sanity/", "repeats “and again and”"),
        ("german", {}, "sanity", "Failed: sanity/", "looks German"),
        ("debris", {}, "sanity", "Failed: sanity/", "debris of the chat template"),
        ("good", {"tools": False}, "sanity", "(tools 1)", "calls no tool, but says"),
        ("good", {"wait_s": SLOW_S}, "performance", "(first 1)", "first token"),
    ],
    ids=["good", "leaks", "refuses", "never-stops", "repeats", "wrong-language", "debris", "drops-tool-calls", "slow"],
)
def test_each_fails_for_its_own_reason_alone(
    prepared: Prepared, suites: Path, engine: str, folders: dict[str, Path],
    model: str, server: dict, suite: str | None, says: str, sign: str,
):  # fmt: skip
    """The suite that should fail does, its reason says what, a record shows the sign, and every other suite passes."""
    with Front(engine, str(folders[model]), **server) as front:
        folder = prepared(front, suites=suites, offers=["tools"], concurrency=2, patience_s=60.0)
        assert ask(folder) == 0
    verdict = conclude(folder)
    outcomes = {one["suite"]: one["outcome"] for one in verdict.summary["suites"]}
    assert {name for name, outcome in outcomes.items() if outcome != "PASS"} == {suite} - {None}, verdict.reasons
    assert verdict.outcome == {None: "PASS", "performance": "INCONCLUSIVE"}.get(suite, "FAIL")
    assert says in verdict.reasons[0] and sign in (folder / "shard-0.jsonl").read_text()
