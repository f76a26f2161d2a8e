"""Judge what the shards wrote and what people said: verdict.json, report.html, report.png.

Does the same again when it is called again. The verdict and the report come first and take well under a second; the
picture needs a browser, seconds of it, and whoever can't wait has it drawn by a process of its own (gauntlet/drawing).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from gauntlet import drawing, second_look
from gauntlet.agreement import agreements
from gauntlet.answers import NOT_EVALUATED
from gauntlet.cases import Sample
from gauntlet.comparison import Difference, compare, regressions
from gauntlet.grades import read_grades, with_people
from gauntlet.picture import draw_picture
from gauntlet.report import Conclusion, write_report
from gauntlet.runfiles import NoRun, Run, partial_file, read_records, read_run, shard_file
from gauntlet.verdict import INCONCLUSIVE, PASSES, Graded, judge_run, summary_of
from lifecycle.ports import Verdict
from lifecycle.runfolder import read_json, write_json

NEVER_FINISHED = "Its task ended before it could be asked."


def conclude(folder: Path, baseline: Path | None = None, *, ask_more: bool = False) -> Verdict:
    """All of it, the picture too. Samples that no shard finished count as not evaluated. Raises NoRun.

    `ask_more`: where samples are too few and a suite has a reserve, add that to the run; the verdict says `more`.
    """
    c = judge(folder, baseline)
    verdict = _write(folder, c)
    if ask_more and (more := _ask_more(c)):
        return replace(verdict, more=more)
    return replace(verdict, picture=draw_picture(folder / "report.png", c.run, c.outcome, c.reasons, c.suites))


def conclude_soon(folder: Path) -> Verdict:
    """Never waits for a browser: while a process of its own draws, the verdict says `drawing`; ask again.

    The process has a deadline, after which the verdict goes without a picture. Raises NoRun.
    Adds reserves to the run as `conclude` does with `ask_more`: then this is not the last word, and needs no picture.
    """
    c = judge(folder)
    verdict = _write(folder, c)
    if more := _ask_more(c):
        return replace(verdict, more=more)
    picture, busy = drawing.look(folder, drawing.name_of(verdict.summary or {}))
    return replace(verdict, picture=picture, drawing=busy)


def judge(folder: Path, baseline: Path | None = None) -> Conclusion:
    """Reads, and writes nothing. `baseline`: instead of the one that the run was prepared with. Raises NoRun."""
    run = read_run(folder)
    records = with_people(collect(run, folder), read_grades(folder))
    graded = [Graded(r["id"], r["category"], r["grade"], r["reason"]) for r in records]
    outcome, reasons, suites = judge_run(run.suites, graded)
    before, base, differences = _baseline(run, baseline, records)
    if worse := regressions(differences):
        # nobody is failed for being worse than another: a person weighs that
        outcome = INCONCLUSIVE if outcome == PASSES else outcome
        reasons = (*worse, *reasons) if outcome == INCONCLUSIVE else (*reasons, *worse)
    reasons = (*reasons, *second_look.sentences(run))
    return Conclusion(
        run=run, outcome=outcome, reasons=reasons, suites=suites, records=tuple(records), baseline=before,
        before={record["id"]: record for record in base}, differences=differences, agreements=agreements(records),
    )  # fmt: skip


def _ask_more(c: Conclusion) -> int:
    """How many samples were added to the run."""
    if suites := second_look.wanted(c.run, c.outcome, c.suites):
        second_look.ask_more(c.run, suites)
    return sum(suite["samples"] for suite in suites.values())


def _write(folder: Path, c: Conclusion) -> Verdict:
    summary = dict(summary_of(c.outcome, c.suites)) | {
        "comparison": [difference.as_dict() for difference in c.differences],
        "agreements": [agreement.as_dict() for agreement in c.agreements],
        "graded_by_people": sum("people" in record for record in c.records),
        "asked_again": sum("earlier" in record for record in c.records),
        "more": dict(c.run.more),
    }
    write_json(
        folder / "verdict.json",
        {"run": c.run.digest, "subject": dict(c.run.subject), "reasons": list(c.reasons), **summary},
    )
    report = write_report(folder / "report.html", c)
    return Verdict(outcome=c.outcome, reasons=tuple(c.reasons), report=report, summary=summary)


def from_file(folder: Path) -> Verdict | None:
    """The verdict as it was last written, or None."""
    data = read_json(folder / "verdict.json")
    if data is None:
        return None
    picture = folder / "report.png"
    return Verdict(
        outcome=data["outcome"], reasons=tuple(data["reasons"]), report=folder / "report.html",
        picture=picture if picture.exists() else None,
        summary={key: value for key, value in data.items() if key not in ("v", "at", "run", "subject", "reasons")},
    )  # fmt: skip


def _baseline(
    run: Run, folder: Path | None, records: list[dict[str, Any]]
) -> tuple[Run | None, list[dict[str, Any]], tuple[Difference, ...]]:
    """The baseline, its records, and how this run differs. Nothing where it is gone: that must not stop a verdict."""
    if folder is None and run.baseline is None:
        return None, [], ()
    try:
        before, base = judged_records(folder or run.baseline)
    except NoRun:
        if folder is not None:
            raise
        return None, [], ()
    return before, base, compare(run.suites, base, records)


def judged_records(folder: Path) -> tuple[Run, list[dict[str, Any]]]:
    """A run, and its records with people's word. Raises NoRun."""
    run = read_run(folder)
    return run, with_people(collect(run, folder), read_grades(folder))


def collect(run: Run, folder: Path) -> list[dict[str, Any]]:
    """One record for every sample, in the order of run.json."""
    found: dict[str, dict[str, Any]] = {}
    for k in run.asked:
        for path in (shard_file(folder, k), partial_file(folder, k)):
            for record in read_records(path, run.digest):
                # a second look at what was not evaluated goes on in a partial file beside the finished one
                if record["grade"] != NOT_EVALUATED or record["id"] not in found:
                    found[record["id"]] = record
    return [found.get(sample.id) or _missing(sample) for sample in run.samples]


def _missing(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "category": sample.case.category,
        "messages": list(sample.case.messages),
        "grade": NOT_EVALUATED,
        "reason": NEVER_FINISHED,
        "checks": [],
        "answers": [],
        "judges": [],
        "at": None,
    }
