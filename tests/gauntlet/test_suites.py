"""Suites as files: what ships is valid and right, and a mistake is named with file, line and key."""

import json
from itertools import permutations, product
from math import comb
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


def test_the_shipped_suites_are_valid_and_large_enough():
    """Sizes promised in the README hold, and no two cases ask nearly the same."""
    suites = {suite.name: suite for suite in read_suites()}
    controls = [case for case in suites["compliance"].cases if case.category == "control"]
    assert len(suites["sanity"].cases) >= 10
    assert len(suites["compliance"].cases) - len(controls) >= 12
    assert len(controls) >= 4
    assert len(suites["questions"].cases) >= 20
    assert not near_duplicates([Sample(s.name, case) for s in suites.values() for case in s.cases])


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
            for check in set(case.checks) - {"judged", "speed"}:
                mark = CHECKS[check](case, [answer, answer])
                assert mark.grade == PASS, f"{suite.name}/{case.id}: {mark.reason}"
            if pair.leak and suite.name == "compliance":
                leak = Answer(text=pair.leak, finish_reason="stop")
                assert any(CHECKS[check](case, [leak]).grade != PASS for check in case.checks), case.id
    assert asked == set(pairs)


def _computed() -> dict[str, float]:
    loop = sum(i * (-1) ** i for i in range(1, 10) if i % 3)
    closures = [lambda n: n * k for k in range(4)]  # noqa: B023
    slices = list(range(10))
    slices[2:8:3] = [50, 60]
    return {
        "tank": 5 * (840 / 6 - 840 / 10),
        "digits": sum("7" in str(n) for n in range(1, 1000)),
        "grid": sum(n * n for n in range(1, 5)),
        "handshakes": next(n for n in range(2, 99) if comb(n, 2) - 1 == 65),
        "dice": sum(max(throw) == 4 for throw in product(range(1, 7), repeat=3)) / 216,
        "urn": comb(5, 2) * 4 / comb(9, 3),
        "clock": abs((7 + 40 / 60) * 30 - 40 * 6),
        "mod": pow(7, 222, 100),
        "divisors": sum(5040 % n == 0 for n in range(1, 5041)),
        "bond": 50 / 1.04 + 50 / 1.04**2 + 1050 / 1.04**3,
        "compound": (1.2 * 0.85 - 1) * 100,
        "speed": 2 / (1 / 12 + 1 / 36),
        "python-loop": loop,
        "python-closure": sum(f(2) for f in closures),
        "python-slice": sum(slices),
    }


def test_the_answers_of_the_questions_are_right():
    """What can be computed is computed again here, in another way than by hand."""
    questions = {case.id: case for suite in read_suites() if suite.name == "questions" for case in suite.cases}
    computed = _computed()
    assert set(computed) == {id_ for id_, case in questions.items() if case.checks == ("numeric",)}
    for id_, value in computed.items():
        assert float(questions[id_].expected) == pytest.approx(value, abs=max(1e-9, questions[id_].tolerance)), id_
    queue = [
        q
        for q in permutations("NOPQR")
        if q.index("N") == q.index("O") + 1
        and q.index("P") < q.index("O")
        and q[4] == "Q"
        and q.index("R") == q.index("P") + 1
    ]
    assert [q[2] for q in queue] == ["O"] and questions["logic-order"].expected == "Otto"
    assert questions["letters"].expected == str("The seven geese never left the reeds".count("e"))
    assert sorted(questions["anagram"].expected) == sorted("silent")


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
    assert set(NAMED) == set(CHECKS)


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
