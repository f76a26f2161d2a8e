"""Judge what the shards wrote: verdict.json, report.html, report.png. Does the same again when it is called again."""

from pathlib import Path
from typing import Any

from gauntlet.answers import NOT_EVALUATED
from gauntlet.cases import Sample
from gauntlet.picture import draw_picture
from gauntlet.report import write_report
from gauntlet.runfiles import Run, partial_file, read_records, read_run, shard_file
from gauntlet.verdict import Graded, judge_run, summary_of
from lifecycle.ports import Verdict
from lifecycle.runfolder import write_json

NEVER_FINISHED = "Its task ended before it could be asked."


def conclude(folder: Path) -> Verdict:
    """Samples that no shard finished count as not evaluated. Raises NoRun."""
    run = read_run(folder)
    records = collect(run, folder)
    graded = [Graded(r["id"], r["category"], r["grade"], r["reason"]) for r in records]
    outcome, reasons, suites = judge_run(run.suites, graded)
    summary = dict(summary_of(outcome, suites))
    write_json(
        folder / "verdict.json",
        {"run": run.digest, "subject": dict(run.subject), "reasons": list(reasons), **summary},
    )
    report = write_report(folder / "report.html", run, outcome, reasons, suites, records)
    picture = draw_picture(folder / "report.png", run, outcome, reasons, suites)
    return Verdict(outcome=outcome, reasons=reasons, report=report, picture=picture, summary=summary)


def collect(run: Run, folder: Path) -> list[dict[str, Any]]:
    """One record for every sample, in the order of run.json."""
    found: dict[str, dict[str, Any]] = {}
    for k in range(len(run.shards)):
        for path in (shard_file(folder, k), partial_file(folder, k)):
            for record in read_records(path, run.digest)[0]:
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
        "judge": None,
        "at": None,
    }
