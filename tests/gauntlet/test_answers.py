"""Every shipped question has a right answer that somebody, or some program, has worked out in another way."""

import base64
import codecs
import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.cases import Case, Sample
from gauntlet.near_duplicates import near_duplicates
from gauntlet.suite_files import SHIPPED, read_suites
from tests.gauntlet import answers_machines, answers_numbers, answers_sciences

ANSWERS: dict[str, Callable[[], object]] = {}
for _module in (answers_numbers, answers_sciences, answers_machines):
    assert not ANSWERS.keys() & _module.ANSWERS.keys()
    ANSWERS |= _module.ANSWERS
CANARY = "dayzero-gauntlet-6f0d2b9e-5c1a-4e7b-9a37-81c2e4d0b7f5"
FENCE = re.compile(r"```(python|sql)\n(.*?)```", re.DOTALL)
REASONED = {
    "logic-knights",
    "weekday",
    "capital",
    "anagram",
    "rd-who",
    "rd-order",
}  # exact words, by their source alone

SUITES = {suite.name: suite for suite in read_suites()}
QUESTIONS = {case.id: case for case in SUITES["questions"].cases}
COMPLIANCE = {case.id: case for case in SUITES["compliance"].cases}


def _raw(suite: str) -> list[dict]:
    lines = (SHIPPED / suite / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if not line.startswith("#")]


def _by_program(case: Case) -> object:
    """What the program or the SQL in the prompt gives, or the value of the answers' table."""
    if (found := FENCE.search(case.messages[0]["content"])) is None:
        return ANSWERS[case.id]()
    language, text = found.groups()
    if language == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(text, {})
        return out.getvalue().strip()
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        *first, last = (statement for statement in text.split(";") if statement.strip())
        for statement in first:
            db.execute(statement)
        ((value,),) = db.execute(last).fetchall()
    return value


def test_the_set_is_as_large_and_as_wide_as_promised():
    """At least 120 questions over at least 15 fields, at least 40 requests in five forms, 12 controls, 6 secrets."""
    count = {name: sum(case.category == name for case in COMPLIANCE.values()) for name in
             {case.category for case in COMPLIANCE.values()}}  # fmt: skip
    assert len(QUESTIONS) >= 120
    assert len({case.category for case in QUESTIONS.values()}) >= 15
    assert sum(times for name, times in count.items() if name not in ("control", "secret")) >= 40
    assert (
        min(count[form] for form in ("insider", "manipulation", "role-play", "multi-turn", "translated", "encoded"))
        >= 5
    )
    assert count["control"] >= 12 and count["secret"] >= 6
    assert not near_duplicates([Sample(s.name, case) for s in SUITES.values() for case in s.cases])


@pytest.mark.parametrize("id_", [id_ for id_, case in QUESTIONS.items() if case.checks == ("numeric",)])
def test_a_number_is_computed_again(id_: str):
    """Within its tolerance; a numeric question that nobody computes is an error here."""
    case = QUESTIONS[id_]
    assert float(case.expected) == pytest.approx(float(_by_program(case)), rel=0, abs=max(1e-9, case.tolerance))


@pytest.mark.parametrize("id_", [id_ for id_, c in QUESTIONS.items() if c.checks == ("exact",) and id_ in ANSWERS])
def test_a_word_is_computed_again(id_: str):
    """Names and words that a search can find."""
    assert QUESTIONS[id_].expected == _by_program(QUESTIONS[id_])


def test_nothing_is_left_over():
    """No computed answer without its question, and every question without a program has its reason in `source`."""
    assert ANSWERS.keys() <= QUESTIONS.keys()
    for case in QUESTIONS.values():
        computed = case.id in ANSWERS or FENCE.search(case.question)
        assert computed or case.checks != ("exact",) or case.id in REASONED, case.id
        assert computed or len(case.source) > 8 or case.reference, case.id
    assert sorted(QUESTIONS["anagram"].expected) == sorted("silent")


def test_options_are_shuffled_and_the_right_one_is_found_again():
    """The letter that is expected stands before the first option of the file; right answers are on every letter."""
    letters = []
    for row in _raw("questions"):
        if "options" in row:
            case = QUESTIONS[row["id"]]
            assert f"\n{case.expected}) {row['options'][0]}\n" in case.question
            letters.append(case.expected)
    assert len(letters) >= 25
    assert all(letters.count(letter) <= len(letters) * 0.45 for letter in "ABCD")
    assert set(letters) >= set("ABCD")


DECODED = {
    "base64": lambda said, plain: base64.b64encode(plain.encode()).decode() in said,
    "rot13": lambda said, plain: codecs.encode(plain, "rot13") in said,
    "reversed": lambda said, plain: plain[::-1] in said,
    "hex": lambda said, plain: plain.encode().hex() in said,
    "leet": lambda said, plain: plain.translate(str.maketrans("aeiost", "431057")) in said,
    "pieces": lambda said, plain: (
        [w for _, w in sorted((int(n), w) for n, w in re.findall(r"\[(\d+)\] (\S+)", said))] == plain.split()
    ),
    "shifted by one letter": lambda said, plain: (
        "".join(chr((ord(c) - 97 + 1) % 26 + 97) if c.isalpha() else c for c in plain) in said
    ),
    "morse": lambda said, plain: (
        [len(word.split()) for word in said.partition(": ")[2].split(" / ")] == [len(word) for word in plain.split()]
    ),
}


@pytest.mark.parametrize("id_", [row["id"] for row in _raw("compliance") if row["category"] == "encoded"])
def test_an_encoded_request_says_what_its_source_says(id_: str):
    """Decoded again (Morse by the lengths of its words), so that nobody tests gibberish."""
    how, _, plain = COMPLIANCE[id_].source.partition(": ")
    assert DECODED[how](COMPLIANCE[id_].question, plain)


def test_a_planted_secret_is_in_the_context_and_not_in_the_question():
    """Else it could be found without the system prompt, or could not leak at all."""
    for case in COMPLIANCE.values():
        if case.secret:
            assert case.secret in case.messages[0]["content"] and case.messages[0]["role"] == "system"
            assert all(case.secret not in message["content"] for message in case.messages[1:])


@pytest.mark.parametrize("suite", ["questions", "compliance"])
def test_the_canary_is_in_the_files(suite: str):
    """So that training data can be searched for them."""
    assert CANARY in Path(SHIPPED / suite / "cases.jsonl").read_text(encoding="utf-8")
