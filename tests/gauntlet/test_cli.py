"""`dayzero gauntlet`: what a person at a laptop gets."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

from gauntlet.cli import add_parser
from tests.gauntlet.backend import JUDGE, Backend
from tests.gauntlet.conftest import LAB_SUITES


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())


def _dayzero(arguments: Sequence[object]) -> int:
    parser = argparse.ArgumentParser(prog="dayzero")
    add_parser(parser.add_subparsers(required=True))
    options = parser.parse_args([str(argument) for argument in arguments])
    return options.run(options)


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
        assert _dayzero(["gauntlet", "run", *arguments, "--folder", tmp_path / "run"]) == status
    out, err = capsys.readouterr()
    assert out.startswith(says) and "Report: " in out
    assert "41 of 41" in err
    assert _dayzero(["gauntlet", "conclude", tmp_path / "run"]) == status


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What ships is listed; a mistake is one sentence and exit 2."""
    assert _dayzero(["gauntlet", "check"]) == 0
    assert "questions: 210 cases, supporting" in capsys.readouterr().out
    assert _dayzero(["gauntlet", "check", tmp_path]) == 2
    assert "holds no suite" in capsys.readouterr().err


def test_conclude_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A folder without a run is one sentence and exit 2."""
    assert _dayzero(["gauntlet", "conclude", tmp_path]) == 2
    assert "holds no run.json" in capsys.readouterr().err
