"""The picture never holds anybody up: a process of its own, a deadline, and no harm by a kill."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet import drawing
from gauntlet.conclude import conclude_soon
from gauntlet.grades import add_grades
from lifecycle.runfolder import read_json, write_json
from tests.gauntlet.test_report import BROWSER
from tests.waiting import until

Prepared = Callable[..., Path]


@pytest.fixture
def slow_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that waits for a file before it draws something."""
    home = tmp_path / "bin"
    home.mkdir()
    program = home / "chromium"
    program.write_text(
        "#!/bin/sh\n"
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n"
        'for option; do case "$option" in --screenshot=*) echo drawn > "${option#--screenshot=}";; esac; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    return tmp_path / "go"


def test_the_verdict_does_not_wait(prepared: Prepared, slow_browser: Path):
    """Report and verdict.json are there at once, and again, while the browser sits; then the picture is there too."""
    folder = prepared("http://127.0.0.1:9")
    first, second = conclude_soon(folder), conclude_soon(folder)
    assert first.drawing and second.drawing and first.picture is None
    assert first.report.exists() and read_json(folder / "verdict.json")["outcome"] == "INCONCLUSIVE"
    slow_browser.touch()
    until(lambda: not conclude_soon(folder).drawing, 20, "the picture")
    assert conclude_soon(folder).picture == folder / "report.png"
    assert (folder / "report.png").read_text() == "drawn\n"


def test_after_the_deadline_there_is_no_picture(prepared: Prepared, slow_browser: Path):
    """Killed between the promise and the process, or a browser that hangs: the verdict goes without."""
    folder = prepared("http://127.0.0.1:9")
    promised = drawing.name_of(conclude_soon(folder).summary)
    write_json(folder / "picture.json", {"of": promised, "until": time.time() - 1, "done": False})
    verdict = conclude_soon(folder)
    assert not verdict.drawing and verdict.picture is None
    slow_browser.touch()


def test_a_verdict_that_people_changed_gets_a_new_picture(prepared: Prepared, slow_browser: Path):
    """The old one shows something else."""
    slow_browser.touch()
    folder = prepared("http://127.0.0.1:9")
    until(lambda: not conclude_soon(folder).drawing, 20, "the first picture")
    add_grades(folder, [{"id": "sanity/rain", "grade": "pass", "by": "alice", "comment": "", "at": 1.0}])
    assert conclude_soon(folder).drawing
    until(lambda: not conclude_soon(folder).drawing, 20, "the second picture")
    assert conclude_soon(folder).picture is not None


def test_without_a_browser_nothing_is_awaited(prepared: Prepared, monkeypatch: pytest.MonkeyPatch):
    """No process, no picture.json, no waiting."""
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())
    folder = prepared("http://127.0.0.1:9")
    verdict = conclude_soon(folder)
    assert not verdict.drawing and verdict.picture is None and not (folder / "picture.json").exists()


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_chromium_draws_beside_us(prepared: Prepared):
    """The real one, through the real process."""
    folder = prepared("http://127.0.0.1:9")
    assert conclude_soon(folder).drawing
    until(lambda: not conclude_soon(folder).drawing, 60, "the picture")
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
