"""A prepared run against a scripted backend, and the runner as a process of its own."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gauntlet.cli import add_parser
from gauntlet.runfiles import partial_file
from gauntlet.runner import main
from gauntlet.runs import prepare
from tests.gauntlet.backend import JUDGE, KEY, Backend

ROOT = Path(__file__).parents[2]
LAB_SUITES = ROOT / "lab" / "suites"


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch):
    """The picture has tests of its own; elsewhere it would only cost seconds."""
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(KEY + "\n")
    return path


@pytest.fixture
def prepared(tmp_path: Path, key_file: Path) -> Callable[..., Path]:
    """prepared(backend, **changes) → the folder of a run of the lab's suites, one shard unless told otherwise."""

    def make(backend: Backend | str, **changes: object) -> Path:
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        asked = {
            "suites": LAB_SUITES,
            "shards": 1,
            "base_url": backend if isinstance(backend, str) else backend.url,
            "model": "candidate",
            "key_file": key_file,
            "judges": (JUDGE,),
            "concurrency": 4,
            "subject": {"model": "lab/tiny", "revision": "0123abcd"},
            "patience_s": 5.0,
        }
        prepare(folder, **{**asked, **changes})
        return folder

    return make


@contextmanager
def start_runner(folder: Path, shard: int = 0) -> Iterator[subprocess.Popen]:
    """The runner as a process, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "gauntlet.runner", "--folder", folder, "--shard", str(shard)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as runner:
        try:
            yield runner
        finally:
            runner.kill()


def dayzero(*words: object) -> int:
    """`dayzero gauntlet WORDS` in this process; its exit status."""
    parser = argparse.ArgumentParser(prog="dayzero")
    add_parser(parser.add_subparsers(required=True))
    options = parser.parse_args(["gauntlet", *map(str, words)])
    return options.run(options)


def ask(folder: Path, shard: int = 0) -> int:
    """The runner on one shard, in this process; its exit status."""
    return main(["--folder", str(folder), "--shard", str(shard)])


def finished(folder: Path, shard: int = 0) -> int:
    """Samples of a shard that is at work."""
    path = partial_file(folder, shard)
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0
