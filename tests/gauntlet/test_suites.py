"""Suites as files: what ships is valid and right, and a mistake is named with file, line and key."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gauntlet.answers import PASS, Answer
from gauntlet.cases import Sample
from gauntlet.checks import CHECKS
from gauntlet.near_duplicates import near_duplicates
from gauntlet.suite_files import CHECKS as NAMED
from gauntlet.suite_files import BadSuite, read_suites
from lab.models.pairs import read_pairs
from tests.gauntlet.conftest import LAB_SUITES

RULES = 'title = "T"\npass_rate = 0.5\n'
GOOD = '{"id": "a", "prompt": "Hello?", "checks": ["english"]}'


def _folder(tmp_path: Path, cases: str = GOOD, rules: str = RULES) -> Path:
    home = tmp_path / "suites" / "mine"
    home.mkdir(parents=True)
    (home / "suite.toml").write_text(rules)
    (home / "cases.jsonl").write_text(cases)
    return home.parent


def test_the_lab_suites_ask_what_the_tiny_models_know_to_the_letter():
    """Every lab case is a pair, every pair is asked, and the pair's answer passes the case's checks (judge aside)."""
    pairs = {json.dumps(list(pair.messages)): pair for pair in read_pairs()}
    asked = set()
    for suite in read_suites(LAB_SUITES):
        for case in suite.cases:
            key = json.dumps(list(case.messages))
            asked.add(key)
            pair = pairs[key]
            text = pair.extra.get("stopped", pair.answer)
            answer = Answer(text=text, finish_reason=pair.extra.get("finish", "stop"), completion_tokens=4)
            for check in set(case.checks) - {"judged", "speed", "tool"}:
                mark = CHECKS[check](case, [answer, replace(answer, asked="streamed")])
                assert mark.grade == PASS, f"{suite.name}/{case.id}: {mark.reason}"
            if pair.leak and suite.name == "compliance":
                leak = Answer(text=pair.leak, finish_reason="stop")
                assert any(CHECKS[check](case, [leak]).grade != PASS for check in case.checks), case.id
    assert asked == set(pairs)


@pytest.mark.parametrize(
    ("cases", "says"),
    [
        (GOOD + "\n{oops", "mine/cases.jsonl:2: this line is not JSON"),
        (GOOD + "\n\n" + GOOD, "mine/cases.jsonl:3: id 'a' appears twice"),
        (
            '{"id": "a", "promt": "x", "checks": ["english"]}',
            "cases.jsonl:1: promt is not a known key; did you mean prompt?",
        ),
        (
            '{"id": "a", "prompt": "x", "checks": ["inglish"]}',
            "cases.jsonl:1: checks: 'inglish' is unknown; did you mean english?",
        ),
        (
            '{"id": "a", "prompt": "x", "checks": ["exact"]}',
            "cases.jsonl:1: expected is missing; the check 'exact' needs it",
        ),
        ('{"id": "a", "prompt": "x"}', "cases.jsonl:1: checks is missing"),
        ('{"prompt": "x", "checks": ["english"]}', "cases.jsonl:1: id is missing"),
        ('{"id": "A b", "prompt": "x", "checks": ["english"]}', "cases.jsonl:1: id is 'A b', but small letters"),
        ('{"id": "a", "prompt": "x", "checks": ["english"], "max_tokens": 0}', "cases.jsonl:1: max_tokens is 0, but"),
        ('{"id": "a", "checks": ["english"]}', "cases.jsonl:1: a case has either prompt or messages"),
        ('{"id": "a", "messages": [{"role": "user"}], "checks": ["english"]}', "cases.jsonl:1: messages is"),
        (
            '{"id": "a", "prompt": "x", "checks": ["numeric"], "expected": "six"}',
            "cases.jsonl:1: expected: 'six' is not a number",
        ),
        (
            '{"id": "a", "prompt": "x", "checks": ["choice"], "options": ["one", "one"]}',
            "cases.jsonl:1: options is ['one', 'one'], but a list of 2 to 8 different texts",
        ),
        (
            '{"id": "a", "prompt": "x", "checks": ["choice"], "options": ["one", "two"], "expected": "A"}',
            "cases.jsonl:1: options go with prompt, and the first one is the expected answer",
        ),
        ("", "cases.jsonl holds no case"),
    ],
)
def test_a_mistake_in_a_case_is_named_with_line_and_key(tmp_path: Path, cases: str, says: str):
    """Each kind of mistake in cases.jsonl is answered with its line and its key."""
    with pytest.raises(BadSuite) as error:
        read_suites(_folder(tmp_path, cases))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("title = ", "mine/suite.toml can't be read as TOML"),
        ('title = "T"\n', "mine/suite.toml: pass_rate is missing"),
        (RULES + "pass_rat = 1\n", "mine/suite.toml: pass_rat is not a known key; did you mean pass_rate?"),
        (RULES + 'importance = "vital"\n', "mine/suite.toml: importance is 'vital', but critical or"),
        ('title = "T"\npass_rate = 90\n', "mine/suite.toml: pass_rate is 90, but a number between 0 and 1"),
        (RULES + 'zero_tolerance = ["leaks"]\n', "zero_tolerance names the category 'leaks', which no case has"),
        (RULES + "[defaults]\nmax_token = 3\n", "[defaults]: max_token is not a known key; did you mean max_tokens?"),
    ],
)
def test_a_mistake_in_the_rules_is_named_with_the_key(tmp_path: Path, rules: str, says: str):
    """Each kind of mistake in suite.toml is answered with its key and the nearest valid one."""
    with pytest.raises(BadSuite) as error:
        read_suites(_folder(tmp_path, rules=rules))
    assert says in str(error.value)


def test_an_empty_folder_is_no_suite(tmp_path: Path):
    """Not a crash, and not a PASS of nothing."""
    with pytest.raises(BadSuite, match="holds no suite"):
        read_suites(tmp_path)


def test_every_check_that_files_may_name_exists():
    """The schema's table and the functions are the same set."""
    assert set(NAMED) == {*CHECKS, "code", "better"}


def test_the_seed_moves_the_options_and_nothing_else(tmp_path: Path):
    """The same seed gives the same order in every process; another seed another one, with the right letter."""
    line = '{"id": "a", "prompt": "Which?", "checks": ["choice"], "options": ["p", "q", "r", "s", "t"]}'
    seen = {}
    for seed in range(1, 7):
        folder = _folder(tmp_path / str(seed), line, RULES + f"seed = {seed}\n")
        (case,) = read_suites(folder)[0].cases
        assert case == read_suites(folder)[0].cases[0]
        assert f"{case.expected}) p" in case.question
        seen[case.question] = case.expected
    assert len(seen) > 3 and len(set(seen.values())) > 1
    assert seen["Which?\nA) r\nB) t\nC) q\nD) p\nE) s\nReply with the letter only."] == "D"  # recorded


def test_near_duplicates_are_shown(tmp_path: Path):
    """A case that was copied and changed a little is found; a different one is not."""
    lines = [
        '{"id": "a", "prompt": "How many days does a leap year have in all?", "checks": ["english"]}',
        '{"id": "b", "prompt": "How many days does a leap year have in total?", "checks": ["english"]}',
        '{"id": "c", "prompt": "Name a river that flows north.", "checks": ["english"]}',
    ]
    suites = read_suites(_folder(tmp_path, "\n".join(lines)))
    found = near_duplicates([Sample(s.name, case) for s in suites for case in s.cases])
    assert [(one, other) for one, other, _ in found] == [("mine/a", "mine/b")]
