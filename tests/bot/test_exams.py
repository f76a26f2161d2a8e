"""The Exams port over a real run folder: which earlier run is the baseline, and when people's grades count."""

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace

from bot.exams import GauntletExams
from bot.world import in_stable
from lifecycle.ledger import Ledger
from lifecycle.runfolder import RunFolder, write_json


def _exams(shared: Path) -> GauntletExams:
    return GauntletExams(SimpleNamespace(site=SimpleNamespace(shared=shared)), None, None, list)


@dataclasses.dataclass
class _Deployment:
    id: str
    replaces: str | None = None


def _concluded(shared: Path, deployment: str, run: int, **verdict: object) -> Path:
    folder = RunFolder(shared, deployment).gauntlet(run)
    write_json(folder / "verdict.json", {"outcome": "PASS", "reasons": ["So."], **verdict})
    return folder


def test_the_baseline_is_what_it_would_replace_else_its_own_run_before(tmp_path: Path):
    """The last concluded run; 10 comes after 9; none where there is none; never the run itself."""
    exams = _exams(tmp_path)
    assert exams._baseline(_Deployment("new"), 1) is None
    for run in (1, 9, 10):
        _concluded(tmp_path, "old", run)
    assert exams._baseline(_Deployment("new", "old"), 1) == RunFolder(tmp_path, "old").gauntlet(10)
    assert exams._baseline(_Deployment("old"), 10) == RunFolder(tmp_path, "old").gauntlet(9)


def test_only_a_verdict_with_peoples_grades_is_a_regraded_one(tmp_path: Path):
    """Grades that were not concluded yet, or a verdict without them, say nothing."""
    exams = _exams(tmp_path)
    folder = _concluded(tmp_path, "new", 1, graded_by_people=0)
    assert exams.regraded(_Deployment("new"), 1) is None
    (folder / "grades.jsonl").write_text("")
    assert exams.regraded(_Deployment("new"), 1) is None
    _concluded(tmp_path, "new", 1, graded_by_people=2)
    verdict = exams.regraded(_Deployment("new"), 1)
    assert verdict.outcome == "PASS" and verdict.reasons == ("So.",)


def test_what_is_in_stable_is_read_from_the_ledger(tmp_path: Path):
    """None yet: then there is nobody to compare with, and the run goes without."""
    with contextlib.closing(Ledger(tmp_path / "ledger.db", lambda: 1.0)) as ledger:
        assert in_stable(ledger) == []
