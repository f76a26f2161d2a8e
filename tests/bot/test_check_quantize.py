"""`dayzero check quantize`: each way in which llm-compressor is not there is a sentence with a next step."""

import sys
from pathlib import Path

import pytest

from bot.checks.quantize import quantize
from lifecycle.sections.serving import Quantize
from lifecycle.settings import Settings


def program(folder: Path, body: str) -> str:
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "ok", "words"),
    [
        ("print('0.14.0')", True, "llm-compressor 0.14.0"),
        ("raise SystemExit('PackageNotFoundError: llmcompressor')", False, "PackageNotFoundError"),
        ("raise SystemExit(3)", False, "gives no reason"),
    ],
)
def test_what_is_found(tmp_path: Path, body: str, ok: bool, words: str) -> None:
    """Its version, or the last line of what it said."""
    found = quantize(Settings(quantize=Quantize(command=(program(tmp_path, body),))))
    assert found.ok is ok and words in found.sentence and (ok or found.next_step)


def test_no_program_and_none_configured() -> None:
    """A path that leads nowhere fails; an empty command is a choice."""
    assert quantize(Settings()).ok is None
    found = quantize(Settings(quantize=Quantize(command=("/nowhere/python",))))
    assert found.ok is False and "/nowhere/python can't be started" in found.sentence
