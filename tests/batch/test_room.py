"""Quotas and stripes, through a stand-in `lfs` that answers as Lustre's does and notes what it was asked."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.payloads.room import LAYOUT, quota_left, room, stripe
from lab.hub.server import Hub
from tests.batch.hub_lab import Job, toy

REPO = "acme/toy"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        yield hub


def stand_in_lfs(folder: Path, quota: str, code: int = 0) -> str:
    """A PATH with an lfs whose quota says this."""
    program = folder / "bin" / "lfs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n[ "$1" = quota ] && echo "{quota}"\nexit {code}\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("/lustre 400 0 1000 - 12 0 0 -", 600 * 1024),
        ("/lustre 400 500 0 - 12 0 0 -", 100 * 1024),
        ("/a/long/path\n    1200* 0 1000 - 12 0 0 -", 0),
        ("/lustre 400 0 0 - 12 0 0 -", None),
        ("", None),
        ("Unexpected quotactl error", None),
    ],
)
def test_what_a_quota_leaves(said: str, left: int | None) -> None:
    """The hard limit, else the soft one, less what is used; nothing is made of words that aren't a quota."""
    assert quota_left(said) == left


def test_without_lustre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lfs, or one that refuses this folder: the file system's word counts, and stripes are left alone."""
    assert room(tmp_path).limit == "the file system"
    monkeypatch.setenv("PATH", stand_in_lfs(tmp_path, "/l 0 0 1 -", code=1))
    assert room(tmp_path).limit == "the file system"
    stripe(tmp_path)


def test_a_download_is_striped(hub: Hub, tmp_path: Path) -> None:
    """The staging folder is striped once, before the first file comes; the files are renamed within it."""
    job = Job(hub, tmp_path / "shared", REPO, hub.publish(toy(), REPO).head.sha)
    path = stand_in_lfs(tmp_path, "/lustre 0 0 0 -")
    assert job.run(PATH=path) == (0, "")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == f"setstripe {' '.join(LAYOUT)} {job.staging}"
    assert sum(line.startswith("setstripe") for line in asked) == 1


def test_a_quota_refuses(hub: Hub, tmp_path: Path) -> None:
    """Less than the model is left of a quota, however much is free: whose, how much is lacking, and what helps."""
    job = Job(hub, tmp_path / "shared", REPO, hub.publish(toy(300_000), REPO).head.sha)
    assert job.run(PATH=stand_in_lfs(tmp_path, "/lustre 900 0 1000 -"))[0] == 1
    assert f"the quota of user {os.getuid()} leaves 102,400" in job.failure["sentence"]
    assert "dayzero weights gc --free" in job.failure["next_step"]
    assert not [e for e in hub.requests("/resolve/") if e.path.endswith(".safetensors")]
