"""The second look: who gets it, what it costs, and that it happens once whatever is killed on the way."""

import json
import os
import signal
from collections.abc import Callable
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.answers import FAIL, PASS, UNSCORED
from gauntlet.cases import Suite
from gauntlet.conclude import conclude
from gauntlet.runfiles import read_run, shard_file
from gauntlet.runs import progress, shards_to_ask
from gauntlet.second_look import wanted
from gauntlet.suite_files import BadSuite, read_suites
from gauntlet.verdict import FAILS, INCONCLUSIVE, PASSES, Graded, Rate, judge_suite
from tests.gauntlet.backend import Backend
from tests.gauntlet.conftest import ask, dayzero, finished, start_runner
from tests.gauntlet.test_verdict import calm
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_browser")

Prepared = Callable[..., Path]
FIRST, RESERVE = 12, 12
LEVEL = 0.025  # one side of an interval of 95%


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "suites")


def write_suite(folder: Path, importance: str = "critical", **rules: object) -> Path:
    """Sums, of which 12 are asked at once and 12 kept; half of them must be right."""
    home = folder / "sums"
    home.mkdir(parents=True, exist_ok=True)
    rules = {"title": "Sums", "importance": importance, "pass_rate": 0.5, **rules}
    (home / "suite.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in rules.items()))
    rows = [
        {
            "id": f"{'first' if n < FIRST else 'kept'}-{n}",
            "prompt": f"What is {n} plus 1?",
            "checks": ["numeric"],
            "expected": str(n + 1),
            "reserve": n >= FIRST,
        }
        for n in range(FIRST + RESERVE)
    ]
    (home / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def knows(right: Callable[[int], bool]) -> Callable[[list[dict[str, str]]], str]:
    """An answerer that is right about those numbers."""

    def say(messages: list[dict[str, str]]) -> str:
        n = int(messages[-1]["content"].split()[2])
        return str(n + 1 if right(n) else n)

    return say


HALF_THEN_ALL = knows(lambda n: n % 2 == 0 or n >= FIRST)  # 6 of the first 12, 18 of all 24
GOOD, WRONG = knows(lambda n: True), knows(lambda n: False)


def _outcomes(wanted_rate: float, n: int, looks: int) -> list[str]:
    """Of 0 to n right ones, as the verdict says it."""
    suite = Suite(name="a", title="A", pass_rate=wanted_rate, category_pass_rate={}, looks=looks)
    return [
        judge_suite(suite, [Graded(f"a/{i}", "", PASS if i < k else FAIL) for i in range(n)]).outcome
        for k in range(n + 1)
    ]


def _chance(outcome: str, rate: float, first: list[str], both: list[str]) -> float:
    """That a model whose true rate is the wanted one ends so: computed, not drawn."""
    n, more = len(first) - 1, len(both) - len(first)
    weight = lambda k, n: comb(n, k) * rate**k * (1 - rate) ** (n - k)  # noqa: E731
    chance = 0.0
    for k, said in enumerate(first):
        if said == outcome:
            chance += weight(k, n)
        elif said == INCONCLUSIVE:
            chance += weight(k, n) * sum(weight(j, more) for j in range(more + 1) if both[k + j] == outcome)
    return chance


def test_two_looks_at_the_shipped_suites_cost_no_certainty():
    """A model exactly at the wanted rate passes, or fails, no more often than one interval of 95% would let it."""
    seen = 0
    for suite in read_suites():
        first = sum(not case.reserve for case in suite.cases)
        if first < len(suite.cases):
            seen += 1
            tables = [_outcomes(suite.pass_rate, n, 2) for n in (first, len(suite.cases))]
            assert _chance(PASSES, suite.pass_rate, *tables) <= LEVEL, suite.name
            assert _chance(FAILS, suite.pass_rate, *tables) <= LEVEL * 1.1, suite.name
    assert seen


@pytest.mark.parametrize("rate", [0.5, 0.75, 0.9])
def test_two_looks_of_any_size_stay_under_the_level_of_a_single_one(rate: float):
    """At 3% for a wrong PASS with few samples, where Wilson's single look has up to 6%; unpaid they would have 5%."""
    worst = max(
        _chance(PASSES, rate, _outcomes(rate, n, 2), _outcomes(rate, n + more, 2))
        for n in range(6, 46, 4)
        for more in (5, 20, 40)
    )
    assert worst <= 0.03


def test_unpaid_a_second_look_would_be_a_second_chance():
    """What the price is for: the same two looks at 95% each pass more than twice as often as they may."""
    unpaid = _chance(PASSES, 0.5, _outcomes(0.5, 16, 1), _outcomes(0.5, 32, 1))
    paid = _chance(PASSES, 0.5, _outcomes(0.5, 16, 2), _outcomes(0.5, 32, 2))
    assert paid <= LEVEL < 2 * LEVEL < unpaid


@calm
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 10), st.floats(0.05, 0.95))
def test_short_means_that_no_grade_of_an_open_sample_could_decide(passed: int, failed: int, open_: int, rate: float):
    """Otherwise a person, or the infrastructure, is asked before more samples are."""

    def of(more_passed: int, more_failed: int, unscored: int) -> Rate:
        return Rate(
            name="", passed=passed + more_passed, failed=failed + more_failed, unscored=unscored, not_evaluated=0,
            wanted=rate, confidence=0.95,
        )  # fmt: skip

    closed = {of(k, open_ - k, 0).outcome for k in range(open_ + 1)}
    assert of(0, 0, open_).short == (closed == {INCONCLUSIVE})


def test_a_laptop_asks_more_by_itself_and_says_so(tmp_path: Path, suites: Path, capsys: pytest.CaptureFixture[str]):
    """6 of 12 say nothing: the other 12 are asked, and 18 of 24 pass; nothing is asked twice."""
    with Backend(override=HALF_THEN_ALL) as backend:
        status = dayzero("run", "--base-url", backend.url, "--model", "m", "--suites", suites,
                          "--folder", tmp_path / "run")  # fmt: skip
        assert status == 0 and len(backend.asked) == FIRST + RESERVE
        assert dayzero("conclude", tmp_path / "run") == 0
        assert dayzero("run", "--folder", tmp_path / "run") == 0
        assert len(backend.asked) == FIRST + RESERVE
    out, err = capsys.readouterr()
    said = "Sums: asked 12 more, because 6 of the first 12 samples passed"
    assert said in out and said in err and "12 of 12" in err
    assert "where 50% is wanted" in out
    assert "Asked 12 more, because 6 of the first 12" in (tmp_path / "run" / "report.html").read_text()
    assert read_run(tmp_path / "run").suites[0].level == pytest.approx(0.975)


def test_no_more_leaves_the_reserve_alone(tmp_path: Path, suites: Path, capsys: pytest.CaptureFixture[str]):
    """INCONCLUSIVE, as it stands; later `conclude` names the two ways on, and the same folder goes on."""
    with Backend(override=HALF_THEN_ALL) as backend:
        folder = tmp_path / "run"
        arguments = ["--base-url", backend.url, "--model", "m", "--suites", suites, "--folder", folder]
        assert dayzero("run", *arguments, "--no-more") == 3
        assert dayzero("conclude", folder, "--no-more") == 3
        assert len(backend.asked) == FIRST and not (folder / "more.json").exists()
        assert dayzero("conclude", folder) == 3
        assert "sbatch --array=1" in capsys.readouterr().err
        assert progress(folder).shards == 2 and shards_to_ask(folder) == (1,)
        assert dayzero("run", "--folder", folder) == 0
        assert len(backend.asked) == FIRST + RESERVE


@pytest.mark.parametrize(("answers", "outcome"), [(GOOD, "PASS"), (WRONG, "FAIL")])
def test_what_the_first_samples_tell_needs_no_more(prepared: Prepared, suites: Path, answers, outcome: str):
    """A clear PASS or FAIL asks nothing further, and the reserve is no part of the run."""
    with Backend(override=answers) as backend:
        folder = prepared(backend, suites=suites)
        assert ask(folder) == 0
        verdict = conclude(folder, ask_more=True)
    assert (verdict.outcome, verdict.more) == (outcome, 0)
    assert verdict.summary["suites"][0]["rate"]["total"] == progress(folder).total == FIRST


def test_there_is_no_third_look(prepared: Prepared, suites: Path):
    """Still undecided after the reserve: that stands, with both counts in the reasons."""
    with Backend(override=knows(lambda n: n % 2 == 0)) as backend:
        folder = prepared(backend, suites=suites)
        ask(folder)
        assert conclude(folder, ask_more=True).more == RESERVE
        ask(folder, 1)
        verdict = conclude(folder, ask_more=True)
    assert (verdict.outcome, verdict.more) == ("INCONCLUSIVE", 0)
    assert "12 of 24 graded samples passed" in verdict.reasons[0] and "asked 12 more" in verdict.reasons[-1]


@pytest.mark.parametrize("change", ["advisory", "open", "failed", "unfinished"])
def test_who_gets_no_second_look(prepared: Prepared, tmp_path: Path, change: str):
    """A suite that decides nothing; one that a person can decide; a model that failed; a first look that isn't over."""
    suites = write_suite(tmp_path / "suites", importance="advisory" if change == "advisory" else "critical")
    with Backend(override=HALF_THEN_ALL) as backend:
        folder = prepared(backend, suites=suites)
        if change != "unfinished":
            ask(folder)
    run = read_run(folder)
    grades = [(UNSCORED if change == "open" else PASS) if n < 6 else PASS for n in range(FIRST)]
    grades = grades if change == "open" else [PASS, FAIL] * (FIRST // 2)
    verdict = judge_suite(run.suites[0], [Graded(f"sums/first-{n}", "", grade) for n, grade in enumerate(grades)])
    assert verdict.outcome == INCONCLUSIVE
    assert wanted(run, FAILS if change == "failed" else INCONCLUSIVE, [verdict]) == {}


def test_killed_in_the_second_look_it_goes_on(prepared: Prepared, suites: Path):
    """kill -9 while the reserve is asked: the same shard goes on, and no finished sample is asked again."""
    with Backend(override=HALF_THEN_ALL) as backend:
        folder = prepared(backend, suites=suites, concurrency=2)
        ask(folder)
        assert conclude(folder, ask_more=True).more == RESERVE
        backend.hold = lambda: finished(folder, 1) >= 3
        with start_runner(folder, shard=1) as runner:
            until(lambda: finished(folder, 1) >= 3, 30, "three finished samples")
            os.kill(runner.pid, signal.SIGKILL)
        backend.hold = lambda: False
        kept = finished(folder, 1)
        assert conclude(folder, ask_more=True).outcome == "INCONCLUSIVE" and not shard_file(folder, 1).exists()
        before = len(backend.asked)
        assert ask(folder, 1) == 0
        assert len(backend.asked) - before == RESERVE - kept
    assert conclude(folder, ask_more=True).outcome == "PASS"


def test_a_reserve_of_everything_is_a_mistake(tmp_path: Path):
    """Something must be asked at once."""
    home = tmp_path / "mine"
    home.mkdir()
    (home / "suite.toml").write_text('title = "T"\npass_rate = 0.5\n')
    (home / "cases.jsonl").write_text('{"id": "a", "prompt": "Hello?", "checks": ["english"], "reserve": true}')
    with pytest.raises(BadSuite, match="every case is in reserve"):
        read_suites(tmp_path)
