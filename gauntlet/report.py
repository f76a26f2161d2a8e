"""The report: one HTML file that needs no network. Everything a model said is escaped, and the page's policy allows no
script but its own (by hash), so that an answer can't act even where escaping were forgotten."""

import base64
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gauntlet.agreement import Agreement
from gauntlet.answers import FAIL, NOT_EVALUATED, PASS, UNSCORED
from gauntlet.charts import charts_of
from gauntlet.comparison import BETTER, SAME, UNKNOWN, WORSE, Difference
from gauntlet.runfiles import Run
from gauntlet.verdict import PASSES, Rate, SuiteVerdict

HERE = Path(__file__).parent
ORDER = {FAIL: 0, NOT_EVALUATED: 1, UNSCORED: 1, PASS: 2}
WORDS = {PASS: "passed", FAIL: "failed", UNSCORED: "unscored", NOT_EVALUATED: "not evaluated"}

TONES = {WORSE: "fail", BETTER: "pass", SAME: "open", UNKNOWN: "open"}


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """Everything that is known of a run; `before`: the baseline's records by id."""

    run: Run
    outcome: str
    reasons: Sequence[str]
    suites: Sequence[SuiteVerdict]
    records: Sequence[Mapping[str, Any]]
    baseline: Run | None = None
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    differences: Sequence[Difference] = ()
    agreements: Sequence[Agreement] = ()


def write_report(path: Path, conclusion: Conclusion) -> Path:
    """Replace `path` atomically and return it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(render_report(conclusion), encoding="utf-8")
    aside.replace(path)
    return path


def render_report(conclusion: Conclusion) -> str:
    records = conclusion.records
    by_suite = {verdict.suite.name: [] for verdict in conclusion.suites}
    for record in records:
        by_suite[record["id"].split("/", 1)[0]].append(record)
    for found in by_suite.values():
        found.sort(key=lambda record: ORDER[record["grade"]])
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            **conclusion.__dict__,
            samples=by_suite,
            aside=aside(conclusion),
            asked_again=sum("earlier" in record for record in records),
            by_people=sum("people" in record for record in records),
            counts=_count(records),
            charts=charts_of(records, conclusion.before, conclusion.run.subject, _subject(conclusion.baseline)),
            finished=_day(max((record["at"] for record in records if record["at"]), default=None)),
            script=Markup(script),
            script_hash=digest,
            style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        )
    )


def aside(c: Conclusion) -> list[str]:
    """The reasons that a reader may skip: what was only measured, and suites that are not why it didn't pass."""
    quiet = {
        reason
        for verdict in c.suites
        if verdict.outcome == PASSES and (c.outcome != PASSES or not verdict.suite.pass_rate)
        for reason in verdict.reasons
    }
    return [reason for reason in c.reasons if reason in quiet]


def _subject(run: Run | None) -> Mapping[str, Any]:
    return run.subject if run is not None else {}


def name_of(run: Run) -> str:
    """A run in a heading: model, revision, run."""
    subject = run.subject
    said = [str(subject.get("model") or run.model), str(subject.get("revision") or "")[:12]]
    return " ".join(filter(None, said)) + (f", run {subject['run']}" if subject.get("run") else "")


def bar_of(rate: Rate) -> dict[str, float]:
    """What an interval bar shows, in percent of its width."""
    low, high = rate.interval
    share = rate.passed / rate.graded if rate.graded else 0.0
    return {"low": low * 100, "width": max(0.6, (high - low) * 100), "share": share * 100}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.globals.update(bar_of=bar_of, words=WORDS, name_of=name_of, tones=TONES)
    return environment


def _count(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    open_ = sum(record["grade"] in (UNSCORED, NOT_EVALUATED) for record in records)
    failed = sum(record["grade"] == FAIL for record in records)
    return {"all": len(records), "fail": failed, "open": open_, "pass": len(records) - failed - open_}


def _day(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at)) if at else "never"
