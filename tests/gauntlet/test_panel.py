"""One judge or two: what they say together, and which of two answers they prefer."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.agreement import agreements
from gauntlet.answers import FAIL, PASS, UNSCORED, Answer, Mark, failed, passed, unscored
from gauntlet.cases import Case
from gauntlet.judge import PREFERENCES, Judge
from gauntlet.panel import Panel, of_both_orders, together
from lab.judge.app import reply_to

CASE = Case(id="a", messages=({"role": "user", "content": "Why?"},), checks=("better",), reference="42")


def _judge(name: str, folder: Path, reply: Callable[[str], str]) -> tuple[Judge, list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []

    async def complete(body: dict[str, Any]) -> Answer:
        asked.append(body)
        return Answer(text=reply(body["messages"][1]["content"]), finish_reason="stop")

    return Judge(name, complete, folder), asked


def _says(verdict: str) -> Callable[[str], str]:
    return lambda prompt: json.dumps({"verdict": verdict, "reason": f"I say {verdict}."})


@pytest.mark.parametrize(
    ("marks", "grade", "says"),
    [
        ([passed("Good.")], PASS, "Good."),
        ([passed("Good."), passed("Fine.")], PASS, "one: Good. two: Fine."),
        ([failed("Bad."), failed("Wrong.")], FAIL, "one: Bad. two: Wrong."),
        ([passed("Good."), failed("Wrong.")], UNSCORED, "The judges differ (one says pass, two says fail)."),
        ([unscored("Unread."), failed("Wrong.")], FAIL, "two: Wrong."),
        ([unscored("Unread."), unscored("Lost.")], UNSCORED, "one: Unread. two: Lost."),
    ],
)
def test_two_judges_are_believed_when_they_agree(marks: list[Mark], grade: str, says: str):
    """Where they differ a person looks; where one can't be read, the other's word stands."""
    mark = together(list(zip(("one", "two"), marks, strict=False)))
    assert mark.grade == grade and says in mark.reason


@pytest.mark.parametrize(
    ("there", "back", "grade", "says"),
    [
        ("first", "second", PASS, "Better"),
        ("second", "first", FAIL, "Worse"),
        ("first", "first", PASS, "hangs on the order"),
        ("second", "second", PASS, "hangs on the order"),
        ("tie", "first", PASS, "As good"),
        ("tie", "tie", PASS, "As good"),
        ("", "first", UNSCORED, "could not be read"),
    ],
)
def test_a_preference_must_survive_the_other_order(there: str, back: str, grade: str, says: str):
    """A judge that prefers whatever comes first has no preference."""
    mark = of_both_orders(there, back, "So.")
    assert mark.grade == grade and says in mark.reason


@given(st.sampled_from(PREFERENCES), st.sampled_from(PREFERENCES))
def test_swapping_the_models_turns_a_loss_into_a_win_only(there: str, back: str):
    """Seen from the rival, a loss is a win and nothing else changes its kind."""
    mine, rival = of_both_orders(there, back, "So.").reason, of_both_orders(back, there, "So.").reason
    swap = {"Better": "Worse", "Worse": "Better", "As": "As"}
    assert swap[mine.split()[0]] == rival.split()[0]


def test_each_judge_sees_both_orders_once(tmp_path: Path):
    """Four questions for two judges, none of them asked again; the answers' authors are not named."""
    one, asked_one = _judge("one", tmp_path, reply_to)
    two, asked_two = _judge("two", tmp_path, reply_to)
    panel = Panel([one, two])
    long, short = "It is because of the wind and of the sea.", "Wind."
    for _ in range(2):
        found = asyncio.run(panel.compare(CASE, long, short))
        assert found.mark.grade == PASS and "Better" in found.mark.reason
    assert len(asked_one) == len(asked_two) == 2
    orders = [json.loads(body["messages"][1]["content"]) for body in asked_one]
    assert [(order["first"], order["second"]) for order in orders] == [(long, short), (short, long)]
    assert asyncio.run(panel.compare(CASE, short, long)).mark.grade == FAIL
    assert [said["model"] for said in found.said] == ["one", "two"]


def test_an_unreadable_preference_is_asked_again_and_then_open(tmp_path: Path):
    """A verdict of the other kind is none; nothing of it is kept for later."""
    judge, asked = _judge("one", tmp_path, _says("pass"))
    assert asyncio.run(Panel([judge]).compare(CASE, "a", "b")).mark.grade == UNSCORED
    assert len(asked) == 4 and list(tmp_path.iterdir()) == []


def test_agreement_is_counted_for_each_pair_that_met(tmp_path: Path):
    """Two judges, two people: judges with people's verdict, judges with each other, people with each other."""
    records = [
        {"id": "a", "judges": [{"model": "j", "verdict": PASS}, {"model": "k", "verdict": FAIL}], "grade": PASS,
         "people": [{"by": "ann", "grade": PASS}, {"by": "ben", "grade": PASS}]},
        {"id": "b", "judges": [{"model": "j", "verdict": FAIL}, {"model": "k", "verdict": FAIL}], "grade": UNSCORED,
         "people": [{"by": "ann", "grade": PASS}, {"by": "ben", "grade": FAIL}]},
        {"id": "c", "judges": [{"model": "j", "verdict": UNSCORED}], "grade": UNSCORED},
    ]  # fmt: skip
    found = {(one.one, one.other): one for one in agreements(records)}
    assert set(found) == {("j", "people"), ("k", "people"), ("j", "k"), ("ann", "ben")}
    assert found["j", "people"].both_pass == found["j", "people"].n == 1
    assert (found["j", "k"].one_only, found["j", "k"].both_fail) == (1, 1)
    assert "ann let 1 pass that ben did not" in found["ann", "ben"].sentence
