"""`dayzero gauntlet`: what a person at a laptop gets."""

from pathlib import Path

import pytest

from tests.gauntlet.backend import JUDGE, Backend
from tests.gauntlet.conftest import LAB_SUITES, dayzero

pytestmark = pytest.mark.usefixtures("no_browser")


@pytest.mark.parametrize(("character", "status", "says"), [("good", 0, "PASS"), ("leaky", 1, "FAIL")])
def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], character: str, status: int, says: str):
    """A model at any address: progress on stderr, the verdict on stdout, the exit status for scripts."""
    with Backend(character) as backend:
        arguments = [
            "--base-url",
            f"{backend.url}/v1",
            "--model",
            "candidate",
            "--judge",
            JUDGE,
            "--suites",
            LAB_SUITES,
        ]
        assert dayzero("run", *arguments, "--folder", tmp_path / "run") == status
    out, err = capsys.readouterr()
    assert out.startswith(says) and "Report: " in out
    assert "42 of 42" in err
    assert dayzero("conclude", tmp_path / "run") == status


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What ships is listed; a mistake is one sentence and exit 2."""
    assert dayzero("check") == 0
    assert "questions: 178 cases and 32 in reserve, supporting" in capsys.readouterr().out
    assert dayzero("check", tmp_path) == 2
    assert "holds no suite" in capsys.readouterr().err


def test_conclude_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A folder without a run is one sentence and exit 2."""
    assert dayzero("conclude", tmp_path) == 2
    assert "holds no run.json" in capsys.readouterr().err
