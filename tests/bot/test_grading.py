"""People grade what the Gauntlet left open: whom to ask what, when it counts, and the whole of it through Slack."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.grading import Question, Rating, Standing, rate, settle, standing
from bot.slack.graders import asking
from gauntlet import conclude
from gauntlet.answers import Answer
from gauntlet.cases import Case, Suite
from gauntlet.grades import read_grades
from gauntlet.runfiles import ask_file, digest_of, header, publish, shard_file
from lab.slack.person import Person, words
from lifecycle import actions, queries, releases
from lifecycle.runfolder import RunFolder, write_json
from tests.bot.office import Office


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())


def a_question(name: str) -> Question:
    return Question(name, "own", f"[user] {name}?", "", (f"{name}!",))


def a_rating(sample: str, user: str, grade: str = "pass", at: float = 0.0) -> Rating:
    return Rating(sample, user, user.lower(), grade, "", grade, at)


ABC = tuple(a_question(name) for name in "abc")


def test_two_must_agree_before_an_answer_counts() -> None:
    """One word settles nothing; two equal ones do; two that differ are a difference, for both of them to see again."""
    one = Standing(ABC, (a_rating("a", "U1"),), 2)
    assert one.settled == [] and one.differing == []
    agreed = replace(one, ratings=(*one.ratings, a_rating("a", "U2")))
    assert agreed.settled == ["a"]
    differ = replace(one, ratings=(*one.ratings, a_rating("a", "U2", "fail", at=1.0)))
    assert differ.differing == ["a"] and differ.settled == []
    assert differ.next_for("U3").id != "a"
    rest = tuple(a_rating(q.id, user) for q in ABC[1:] for user in ("U1", "U2"))
    left = replace(differ, ratings=(*differ.ratings, *rest))
    assert left.next_for("U1").id == "a", "the other spoke after them"
    assert left.next_for("U2") is None and left.next_for("U3") is None


def test_what_somebody_began_comes_first() -> None:
    """So that pairs become whole."""
    assert Standing(ABC, (a_rating("c", "U1"),), 2).next_for("U2").id == "c"


SAID = st.tuples(st.sampled_from("abc"), st.sampled_from(["U1", "U2", "U3"]), st.sampled_from(["pass", "fail"]))


@given(st.lists(SAID))
def test_nobody_is_asked_twice_without_a_reason(said: list[tuple[str, str, str]]) -> None:
    """Whatever was said so far: who is asked has not rated it yet, or somebody who differs spoke after them."""
    ratings = {(s, u): a_rating(s, u, g, at=float(n)) for n, (s, u, g) in enumerate(said)}
    now = Standing(ABC, tuple(ratings.values()), 2)
    for user in ("U1", "U2", "U3"):
        if (question := now.next_for(user)) is not None:
            assert (question.id, user) not in ratings or question.id in now.differing
    assert not set(now.settled) & set(now.differing)


def test_agreement_is_of_first_words() -> None:
    """Who changes their mind after reading the other has not agreed from the start."""
    first = [a_rating(name, "U1", "pass") for name in "abc"]
    second = [a_rating("a", "U2", "pass"), a_rating("b", "U2", "pass"), replace(a_rating("c", "U2"), first="fail")]
    (said,) = Standing(ABC, (*first, *second), 2).agreements()
    assert said == "u1 and u2 agree on 2 of 3 (Cohen's kappa 0.00)"


# Through Slack --------------------------------------------------------------------------------------------------


def held(office: Office, answers: dict[str, str]) -> tuple[str, Path]:
    """A deployment that the Gauntlet could not decide about: its id, and the folder of the run."""
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    name, _ = actions.approve(ledger, release.id, release.plan.digest, by="alice")
    folder = RunFolder(office.settings.site.shared, name).gauntlet(1)
    folder.mkdir(parents=True)
    write_run(folder, answers)
    office.chat.tell()
    for event in ("cached", "healthy", "listed", "undecided"):
        more = {"exam": 1} if event == "listed" else {}
        ledger.move_deployment(queries.deployment(ledger.connection, name), event, **more)
    return name, folder


def write_run(folder: Path, answers: dict[str, str]) -> None:
    """A concluded run whose samples all wait for a person."""
    suite = Suite(name="own", title="Our own questions", pass_rate=0.1, category_pass_rate={}, zero_tolerance=("own",))
    cases = [
        Case(id=name, messages=({"role": "user", "content": f"What of {name}? <!channel>"},), checks=("judged",),
             category="own", reference="It is 42.")
        for name in answers
    ]  # fmt: skip
    content = {
        "base_url": "http://127.0.0.1:9/v1", "model": "m", "judges": [], "judge": "", "concurrency": 1,
        "patience_s": 1.0, "timeout_s": 1.0, "subject": {"model": "acme/tiny"},
        "rival": "", "left_out": {}, "key_file": str(folder / "key"),
        "suites": [suite.rules()], "shards": [len(cases)],
    }  # fmt: skip
    asked = [{"n": n, "suite": "own", "case": asdict(case)} for n, case in enumerate(cases)]
    digest = digest_of(content)
    folder.mkdir(parents=True, exist_ok=True)
    publish(ask_file(folder, 0), asked)
    write_json(folder / "run.json", {**content, "digest": digest})
    records = [
        {"id": f"own/{case.id}", "category": "own", "messages": list(case.messages), "grade": "unscored", "at": 0.0,
         "reason": "It waits for a person.", "checks": [], "judge": None, "judges": [],
         "answers": [Answer(text=answers[case.id], finish_reason="stop").as_dict()]}
        for case in cases
    ]  # fmt: skip
    publish(shard_file(folder, 0), [header(digest, 0), *records])
    assert conclude.conclude_soon(folder).outcome == "INCONCLUSIVE"


def invitation(office: Office) -> str:
    office.chat.tell()
    (shown,) = office.alice.messages("#grading")
    return words(shown)


def grade(person: Person, *grades: str, comment: str = "") -> str:
    """Open the window and grade one answer after the other; what the window shows at the end."""
    person.close(everything=True)
    assert person.click("grade", channel="#grading")
    for word in grades:
        view = person.modal(60)
        ids = {block["block_id"].partition("-")[0]: block["block_id"] for block in view["blocks"]}
        seen = person.submit({ids["grade"]: word, ids["comment"]: comment})
        assert seen, seen
    return words(person.modal(60))


def test_two_people_grade_and_the_verdict_follows(office: Office) -> None:
    """Blind, in the channel for it: the window shows question, reference and answer, and no name; one person's word
    changes nothing; with the second one's the verdict is made again and the deployment moves; the message says so."""
    name, folder = held(office, {"one": "42, *surely* <!here>", "two": "41?"})
    said = invitation(office)
    assert "2 answers to grade" in said and "0 of 2 settled" in said
    assert "tiny" not in said.replace("grading:", ""), "blind"
    assert office.alice.click("grade", channel="#grading")
    shown = words(office.alice.modal(60))
    for expected in ("What of", "<!channel>", "It is 42.", "All in all", "rated 0 of 2"):
        assert expected in shown, expected
    assert name not in shown and "acme" not in shown
    assert "Nothing is left for you" in grade(office.alice, "pass", "pass", comment="fine")
    assert "alice rated 2" in invitation(office) and read_grades(folder) == []
    assert "Everything is graded" in grade(office.bob, "pass", "pass")
    said = invitation(office)
    assert "Every answer is graded" in said and "alice and bob agree on 2 of 2" in said
    assert {g["by"] for g in read_grades(folder)} == {"alice", "bob"}
    verdict = office.parts.world.exams.regraded(queries.deployment(office.parts.ledger.connection, name), 1)
    assert verdict.outcome != "INCONCLUSIVE"
    ledger = office.parts.ledger
    record = {"outcome": verdict.outcome, "summary": verdict.summary}
    ledger.move_deployment(queries.deployment(ledger.connection, name), "passed", verdict=record)
    closed = invitation(office)
    assert "acme/tiny" in closed and "2 answers graded by people" in closed
    assert not office.alice.messages("#grading")[0]["pings"]


def test_where_two_differ_they_see_it_again(office: Office) -> None:
    """With what the other said; whoever changes their word settles it; the agreement stays that of the first words."""
    _, folder = held(office, {"one": "42"})
    invitation(office)
    grade(office.alice, "pass", comment="close enough")
    grade(office.bob, "fail", comment="no unit")
    said = invitation(office)
    assert "They differ on 1" in said and "0 of 1 settled" in said
    office.alice.close(everything=True)
    assert office.alice.click("grade", channel="#grading")
    assert "no unit" in words(office.alice.modal(60))
    assert "Everything is graded" in grade(office.alice, "fail")
    said = invitation(office)
    assert "1 of 1 settled" in said and "alice and bob agree on 0 of 1" in said
    assert {g["grade"] for g in read_grades(folder)} == {"fail"}


def test_a_kill_between_any_two_steps_loses_no_grade(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the ratings, or after the grades: the next round makes of them what was missing."""
    _, folder = held(office, {"one": "42"})
    invitation(office)
    for user in ("U0ALICE", "U0BOB"):
        rate(folder, "own/one", user, user, "pass", "")
    assert read_grades(folder) == []
    with monkeypatch.context() as patch:
        patch.setattr("gauntlet.conclude.conclude_soon", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            settle(folder, standing(folder, 2))
    assert len(read_grades(folder)) == 2
    assert not conclude.from_file(folder).summary["graded_by_people"]
    office.restart()
    office.chat.tell()
    assert conclude.from_file(folder).summary["graded_by_people"] == 1


def test_a_click_on_what_is_closed_is_answered(office: Office) -> None:
    """The run went on meanwhile: said so, nothing is kept."""
    name, folder = held(office, {"one": "42"})
    invitation(office)
    assert office.alice.click("grade", channel="#grading")
    view = office.alice.modal(60)
    ledger = office.parts.ledger
    ledger.move_deployment(queries.deployment(ledger.connection, name), "passed")
    ids = {block["block_id"].partition("-")[0]: block["block_id"] for block in view["blocks"]}
    assert office.alice.submit({ids["grade"]: "pass"})
    assert "It is closed" in words(office.alice.modal(60))
    assert not (folder / "ratings.jsonl").exists()


def test_long_texts_fit_into_the_window() -> None:
    """Slack takes 3,000 characters a section; what is too long says where the rest is."""
    question = Question("x", "own", "q" * 10_000, "r" * 100, ("a" * 50_000, ""))
    view = asking("grading:d:1", question, Standing((question,), (), 2), "U1")
    assert all(len(b["text"]["text"]) <= 3000 for b in view["blocks"] if b["type"] == "section")
    assert len(view["blocks"]) <= 100 and "the rest is in the report" in words(view)
