"""Links to reports: each opens its own, nothing else opens anything, and all who make the key at once have the same."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import reports
from lifecycle.runfolder import RunFolder
from lifecycle.settings import Settings


def _settings(folder: Path, url: str = "https://models.example.com/") -> Settings:
    return Settings.model_validate({"site": {"shared": folder}, "gateway": {"public_url": url}})


def _report(folder: Path, deployment: str = "toy-1", run: int = 2) -> Path:
    path = RunFolder(folder, deployment).gauntlet(run) / reports.NAME
    path.parent.mkdir(parents=True)
    path.write_text("the report")
    return path


def _rest(link: str) -> str:
    return link.removeprefix("https://models.example.com").removeprefix(reports.PATH)


def test_a_link_opens_its_report_alone(tmp_path: Path) -> None:
    """Another run or deployment has another seal; a run without a report has a link that opens nothing."""
    settings, path = _settings(tmp_path), _report(tmp_path)
    link = reports.link(settings, "toy-1", 2)
    assert link.startswith("https://models.example.com/reports/toy-1/2/")
    assert reports.find(tmp_path, _rest(link)) == path
    seal = link.rpartition("/")[2]
    _report(tmp_path, run=3)
    _report(tmp_path, "other", 2)
    for rest in (f"toy-1/3/{seal}", f"other/2/{seal}", f"toy-1/2/{seal}/..", f"toy-1/2/{seal[:-1]}", "toy-1/2/", ""):
        assert reports.find(tmp_path, rest) is None, rest
    assert reports.find(tmp_path, _rest(reports.link(settings, "toy-1", 9))) is None


@given(st.text(max_size=60))
def test_what_was_not_sealed_opens_nothing(rest: str) -> None:
    """Not even where it would lead: no word from outside becomes a path."""
    assert reports.find(Path("/"), rest) is None
    assert reports.find(Path("/nowhere"), f"../../etc/{rest}/{'0' * 64}") is None


def test_no_link_where_nobody_could_follow_it(tmp_path: Path) -> None:
    """Without a public address, and where the key can't be written, the file is named instead."""
    verdict = {"run": 1, "report": "/shared/report.html"}
    assert reports.link(_settings(tmp_path, ""), "toy-1", 1) == ""
    assert reports.address(_settings(tmp_path, ""), "toy-1", verdict) == "/shared/report.html"
    (tmp_path / "runs").write_text("a file stands in the way")
    assert reports.address(_settings(tmp_path), "toy-1", verdict) == "/shared/report.html"
    assert reports.address(_settings(tmp_path), "toy-1", None) == ""


@pytest.mark.parametrize("at_once", [2, 16])
def test_all_who_make_the_key_at_once_have_the_same(tmp_path: Path, at_once: int) -> None:
    """It is complete when it appears, only its owner reads it, and nothing is left beside it."""
    settings = _settings(tmp_path)
    with ThreadPoolExecutor(at_once) as pool:
        links = set(pool.map(lambda _: reports.link(settings, "toy-1", 1), range(at_once)))
    assert len(links) == 1
    (key,) = (tmp_path / "runs").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_bytes()) == reports.KEY_BYTES
