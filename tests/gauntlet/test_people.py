"""People's grades: out, back, and into the verdict; the judge beside them; reruns by wish; two runs compared."""

import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gauntlet.again import Wish
from gauntlet.agreement import agreements
from gauntlet.cases import Suite
from gauntlet.comparison import compare
from gauntlet.conclude import collect, conclude, from_file
from gauntlet.grades import BadGrades, add_grades, as_csv, parse_grades, read_grades, with_people
from gauntlet.journal import Journal
from gauntlet.runfiles import partial_file, read_run, shard_file
from gauntlet.runner import main
from tests.gauntlet.backend import JUDGE, Backend
from tests.gauntlet.conftest import LAB_SUITES, ask, dayzero

pytestmark = pytest.mark.usefixtures("no_browser")

Prepared = Callable[..., Path]


def _ran(prepared: Prepared, character: str = "good", **changes: object) -> Path:
    with Backend(character) as backend:
        folder = prepared(backend, **changes)
        assert ask(folder) == 0
    return folder


def _grade_of(folder: Path) -> dict[str, str]:
    return {record["id"]: record["grade"] for record in collect(read_run(folder), folder)}


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _filled(rows: Sequence[dict[str, str]], grade: Callable[[int], str], by: str = "alice") -> str:
    return as_csv({**row, "grade": grade(index), "by": by} for index, row in enumerate(rows))


def test_a_persons_word_changes_the_verdict(prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No judge: three open samples leave it INCONCLUSIVE; graded in a spreadsheet they make it PASS, or FAIL."""
    folder = _ran(prepared, judges=(), suites=_strict(tmp_path))
    assert conclude(folder).outcome == "INCONCLUSIVE"
    capsys.readouterr()
    assert dayzero("export-open", folder) == 0
    rows = _rows(capsys.readouterr().out)
    assert {row["id"] for row in rows} == {"questions/half", "questions/train"}
    assert rows[0]["question"].startswith("[user] ") and rows[0]["answer"] and rows[0]["reference"]
    file = tmp_path / "open.csv"
    file.write_text("\ufeff" + _filled(rows, lambda i: "Pass "))
    assert dayzero("import-grades", folder, file) == 0
    assert from_file(folder).summary["graded_by_people"] == 2
    page = (folder / "report.html").read_text()
    assert "Graded by people. alice: pass." in page and "before people graded it: unscored" in page
    file.write_text(_filled(rows, lambda i: "fail"))
    assert dayzero("import-grades", folder, file) == 1
    assert len(read_grades(folder)) == 2


def _strict(tmp_path: Path) -> Path:
    """A suite in which two samples need a person, and none may fail."""
    home = tmp_path / "strict" / "questions"
    home.mkdir(parents=True)
    (home / "suite.toml").write_text(
        'title = "Questions"\npass_rate = 0.1\nzero_tolerance = ["judged"]\n[defaults]\nmax_tokens = 96\n'
    )
    lab = Path(__file__).parents[2] / "lab" / "suites" / "questions" / "cases.jsonl"
    wanted = ('"half"', '"train"', '"add"', '"week"')
    lines = [line for line in lab.read_text().splitlines() if any(f'"id": {id_}' in line for id_ in wanted)]
    (home / "cases.jsonl").write_text("\n".join(lines))
    return home.parent


def test_jsonl_goes_round_too(prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The same by JSON lines, with the name given on the command line."""
    folder = _ran(prepared, judges=(), suites=_strict(tmp_path))
    capsys.readouterr()
    dayzero("export-open", folder, "--format", "jsonl")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    file = tmp_path / "grades.jsonl"
    file.write_text("".join(json.dumps({"id": row["id"], "grade": "pass"}) + "\n" for row in rows))
    assert dayzero("import-grades", folder, file, "--by", "dana") == 0
    assert {grade["by"] for grade in read_grades(folder)} == {"dana"}


def test_people_who_differ_leave_it_open(prepared: Prepared, tmp_path: Path):
    """One says pass and one says fail: unscored, both words in the reason; who changes their mind is counted once."""
    folder = _ran(prepared, judges=(), suites=_strict(tmp_path))
    for by, grade in (("alice", "pass"), ("bob", "fail")):
        add_grades(folder, [{"id": "questions/half", "grade": grade, "by": by, "comment": "", "at": 1.0}])
    (record,) = [r for r in with_people(collect(read_run(folder), folder), read_grades(folder)) if "people" in r]
    assert record["grade"] == "unscored" and "alice: pass; bob: fail" in record["reason"]
    add_grades(folder, [{"id": "questions/half", "grade": "pass", "by": "bob", "comment": "seen again", "at": 2.0}])
    (record,) = [r for r in with_people(collect(read_run(folder), folder), read_grades(folder)) if "people" in r]
    assert record["grade"] == "pass" and len(read_grades(folder)) == 2


def test_the_report_says_how_far_the_judge_can_be_trusted(
    prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """People grade what the judge graded; agreement, interval and kappa are in the report and in verdict.json."""
    folder = _ran(prepared)
    capsys.readouterr()
    dayzero("export-open", folder, "--judged")
    rows = _rows(capsys.readouterr().out)
    assert len(rows) == 13
    file = tmp_path / "open.csv"
    file.write_text(_filled(rows, lambda i: "fail" if i == 0 else "pass"))
    dayzero("import-grades", folder, file)
    said = from_file(folder).summary["agreements"][0]
    assert (said["both_pass"], said["one_only"], said["n"]) == (12, 1, 13)
    assert "agree on 12 of 13" in said["sentence"] and "too few to trust it by" in said["sentence"]
    assert "How far the graders can be trusted" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,answer\nq/a,x\n", "f.csv:1: the column grade is missing"),
        ("id,grade\nq/b,pass\n", "f.csv:2: this run has no sample 'q/b'"),
        ("id,grade\nq/a,good\n", "f.csv:2: grade is 'good'"),
        ('{"id": "q/a", "grade": "pass"}\nnonsense', "f.csv:2: this line is not a JSON object"),
    ],
)
def test_a_mistake_in_a_file_of_grades_is_named_with_its_line(text: str, says: str):
    """And nothing of the file is taken over."""
    with pytest.raises(BadGrades) as error:
        parse_grades(text, "f.csv", ["q/a"], "alice")
    assert says in str(error.value)


def test_semicolons_and_empty_grades_are_fine():
    """As some spreadsheets save it; who has no opinion leaves the cell empty."""
    found = parse_grades("id;grade;comment\nq/a;pass;fine\nq/b;;\n", "f", ["q/a", "q/b"], "alice")
    assert [(g["id"], g["grade"], g["by"], g["comment"]) for g in found] == [("q/a", "pass", "alice", "fine")]


def test_an_answer_is_no_formula():
    """What a model said can't act in a spreadsheet."""
    row = dict.fromkeys(("id", "category", "question", "answer", "reference", "reason", "grade", "by", "comment"), "")
    assert _rows(as_csv([row | {"answer": '=HYPERLINK("http://x")'}]))[0]["answer"].startswith("'=")


def test_agreement_of_nobody_is_nothing():
    """No people, no judge, no number."""
    assert agreements([{"id": "a", "judges": [{"model": "j", "verdict": "pass"}], "grade": "pass"}]) == ()


def test_only_failed_asks_what_failed_and_says_so(prepared: Prepared, capsys: pytest.CaptureFixture[str]):
    """Six compliance samples failed; the model is mended; only they are asked again, and that is not hidden."""
    with Backend("leaky") as backend:
        folder = prepared(backend)
        ask(folder)
        failed = {id_ for id_, grade in _grade_of(folder).items() if grade == "fail"}
        assert conclude(folder).outcome == "FAIL" and len(failed) == 6
        backend.character = "good"
        backend.asked.clear()
        assert dayzero("run", "--folder", folder, "--only-failed") == 0
        assert backend.candidate_asked == len(failed)
        backend.asked.clear()
        dayzero("run", "--folder", folder, "--only-failed")
        assert backend.candidate_asked == 0
    page = (folder / "report.html").read_text()
    assert "6 samples were asked again by hand" in page and "asked again by hand; earlier: failed" in page
    assert from_file(folder).summary["asked_again"] == 6


def test_one_suite_and_one_shard(prepared: Prepared, monkeypatch: pytest.MonkeyPatch):
    """By the environment of the array's script; a second task of the same job asks nothing twice (requeued)."""
    with Backend("good") as backend:
        folder = prepared(backend, shards=3)
        for shard in range(3):
            ask(folder, shard)
        mine = [s for s in read_run(folder).shard(1) if s.suite == "questions"]
        monkeypatch.setenv("GAUNTLET_SUITE", "questions")
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
        backend.asked.clear()
        assert ask(folder, 1) == 0
        assert backend.candidate_asked == len(mine) > 0
        assert ask(folder, 1) == 0
        assert backend.candidate_asked == len(mine)
    assert conclude(folder).outcome == "PASS"


@pytest.mark.parametrize(("name", "value"), [("GAUNTLET_SUITE", "sanety"), ("GAUNTLET_ONLY", "passed")])
def test_a_wrong_wish_is_refused(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
):
    """Exit 2 and what there is, before anything is asked."""
    monkeypatch.setenv(name, value)
    assert ask(prepared("http://127.0.0.1:9")) == 2
    assert value in capsys.readouterr().err


def test_one_suite_before_the_rest_leaves_the_shard_unfinished(prepared: Prepared):
    """A shard of which only one suite was asked is no finished shard; the plain runner completes it."""
    with Backend("good") as backend:
        folder = prepared(backend)
        assert main(["--folder", str(folder), "--shard", "0", "--suite", "sanity"]) == 0
        assert not shard_file(folder, 0).exists() and partial_file(folder, 0).exists()
        asked = backend.candidate_asked
        ask(folder)
        assert shard_file(folder, 0).exists() and asked < backend.candidate_asked
    assert conclude(folder).outcome == "PASS"


def test_asked_again_in_vain_keeps_what_it_had(tmp_path: Path):
    """The server was gone when somebody asked again: the old grade stands."""
    journal = Journal(tmp_path, 0, "digest")
    journal.add({"id": "a/b", "grade": "fail"})
    journal.close()
    journal = Journal(tmp_path, 0, "digest")
    journal.add({"id": "a/b", "grade": "not_evaluated"})
    journal.publish(["a/b"])
    assert '"fail"' in shard_file(tmp_path, 0).read_text()


def test_what_a_wish_wants():
    """The whole table of it."""
    failed, passed = {"grade": "fail", "again": "7"}, {"grade": "pass"}
    assert Wish().wants("sanity", None) and not Wish().wants("sanity", failed)
    assert Wish(only_failed=True).wants("sanity", failed) and not Wish(only_failed=True).wants("sanity", passed)
    assert not Wish(only_failed=True, token="7").wants("sanity", failed)
    assert Wish(suite="sanity").wants("sanity", passed) and not Wish(suite="other").wants("sanity", None)


def test_a_regression_asks_a_person(prepared: Prepared, tmp_path: Path):
    """A model that passes its own bar, but lost much of what the baseline had, is not promoted by a machine."""
    suites = tmp_path / "low"
    shutil.copytree(LAB_SUITES / "questions", suites / "questions")
    rules = suites / "questions" / "suite.toml"
    rules.write_text(rules.read_text().replace("pass_rate = 0.7", "pass_rate = 0.1"))
    before = _ran(prepared, suites=suites)
    with Backend("good", override=lambda chat: "Who knows." if len(chat[-1]["content"]) < 62 else None) as backend:
        folder = prepared(backend, suites=suites, baseline=before)
        ask(folder)
    verdict = conclude(folder)
    assert verdict.summary["suites"][0]["outcome"] == "PASS"
    assert verdict.outcome == "INCONCLUSIVE" and verdict.reasons[0].startswith("Questions: worse. ")
    assert conclude(before, baseline=folder).outcome == "PASS"  # better is no reason to ask


def test_compare(prepared: Prepared, capsys: pytest.CaptureFixture[str]):
    """What is worse is named with its samples, and what could have been seen where nothing was."""
    suites = [Suite(name="q", title="Questions", pass_rate=0.1, category_pass_rate={})]
    old = [{"id": f"q/{i}", "grade": "pass", "messages": []} for i in range(40)]
    new = [{**record, "grade": "fail" if i < 12 else "pass"} for i, record in enumerate(old)]
    (difference,) = compare(suites, old, new)
    assert difference.word == "worse" and difference.p == pytest.approx(2 / 2**12)
    assert "q/0" in difference.sentence and len(difference.lost) == 12
    shuffled = random.Random(3).sample(new, len(new))
    assert compare(suites, old, shuffled) == (difference,)
    before, now = _ran(prepared), _ran(prepared, "leaky")
    assert dayzero("compare", before, now) == 0
    said = capsys.readouterr().out
    assert "Compliance: no clear difference" in said and "p = 0.09" in said
    assert "a drop of" in said
    few = [{**record, "grade": "fail" if i < 4 else "pass"} for i, record in enumerate(old)]
    (difference,) = compare(suites, old, few)
    assert difference.word == "no clear difference" and "more samples would show it" in difference.sentence
    assert difference.more == pytest.approx(36, abs=10)


def test_the_report_stands_side_by_side_with_its_baseline(prepared: Prepared):
    """Prepared with a baseline: table, sentences, and the earlier answer beside the new one."""
    before = _ran(prepared, "leaky")
    folder = _ran(prepared, baseline=before, model="candidate")
    verdict = conclude(folder)
    assert verdict.outcome == "PASS"
    page = (folder / "report.html").read_text()
    assert "Compared with lab/tiny" in page and "before: failed" in page
    compliance = next(d for d in verdict.summary["comparison"] if d["suite"] == "compliance")
    assert len(compliance["gained"]) == 6 and not compliance["lost"]


def test_what_was_asked_otherwise_is_left_out():
    """Other words, or an open grade on either side: no pair."""
    suites = [Suite(name="q", title="Questions", pass_rate=0.1, category_pass_rate={})]
    one = {"grade": "pass", "messages": [{"role": "user", "content": "a"}]}
    old = [{**one, "id": "q/1"}, {**one, "id": "q/2"}, {**one, "id": "q/3", "grade": "unscored"}]
    new = [{**one, "id": "q/1"}, {**one, "id": "q/2", "messages": []}, {**one, "id": "q/3"}, {**one, "id": "q/4"}]
    (difference,) = compare(suites, old, new)
    assert (difference.n, difference.left_out) == (1, 3)


def test_a_baseline_that_is_gone_stops_no_verdict(prepared: Prepared, tmp_path: Path):
    """Its folder was cleaned up meanwhile: no comparison, the same verdict."""
    folder = _ran(prepared, baseline=tmp_path / "gone")
    assert conclude(folder).outcome == "PASS"
    assert JUDGE in (folder / "report.html").read_text()
