"""The lock of the caching job: one owner, a heartbeat, and a way past the dead."""

import json
import os
import socket
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from batch.payloads import cache_lock
from batch.payloads.cache_lock import Lock, this_process
from tests.waiting import until


def lock(path: Path, **other: object) -> Lock:
    return Lock(path / "model.lock", replace(this_process(path), **other))


def leave(path: Path, age: float, **other: object) -> None:
    """A lock file that somebody left behind `age` seconds ago."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / "model.lock"
    file.write_text(json.dumps(asdict(replace(this_process(path), **other))))
    os.utime(file, (time.time() - age, time.time() - age))


def test_one_of_many(tmp_path: Path) -> None:
    """Of twenty that try at once exactly one gets it, and the others learn who."""
    locks = [lock(tmp_path, job=str(n)) for n in range(20)]
    answers: dict[int, object] = {}
    start = threading.Barrier(20)

    def take(n: int) -> None:
        start.wait()
        answers[n] = locks[n].take()

    threads = [threading.Thread(target=take, args=(n,)) for n in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    winners = [n for n, holder in answers.items() if holder is None]
    assert len(winners) == 1
    assert {holder.job for holder in answers.values() if holder} == {str(winners[0])}
    locks[winners[0]].release()
    assert list(tmp_path.iterdir()) == []


def test_dead_on_this_machine(tmp_path: Path) -> None:
    """An owner whose process is gone from this machine is passed at once, heartbeat or not."""
    leave(tmp_path, age=0, pid=2**22 + 1)
    mine = lock(tmp_path)
    assert mine.take() is None
    mine.release()


def test_pid_used_again(tmp_path: Path) -> None:
    """The same pid with another start time is another process."""
    leave(tmp_path, age=0, started="1")
    mine = lock(tmp_path)
    assert mine.take() is None
    mine.release()


@pytest.mark.parametrize(("age", "stale"), [(cache_lock.STALE_S / 2, False), (cache_lock.STALE_S + 5, True)])
@pytest.mark.parametrize("other", [{"host": "another-node"}, {"pids": "pid:[1]"}], ids=["node", "container"])
def test_heartbeat_elsewhere(tmp_path: Path, other: dict, age: float, stale: bool) -> None:
    """Of an owner on another node, or in another container here, only the heartbeat tells."""
    leave(tmp_path, age=age, pid=2**22 + 1, **other)
    mine = lock(tmp_path)
    assert (mine.take() is None) == stale
    mine.release()


def test_garbage(tmp_path: Path) -> None:
    """A lock file that nobody can read is respected while it is young and passed when it is old."""
    file = tmp_path / "model.lock"
    file.write_text("{")
    os.utime(file, (time.time() - 1000,) * 2)
    mine = lock(tmp_path)
    assert mine.take() is None
    mine.release()


def test_it_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's file is touched again and again; after the release nobody touches it."""
    monkeypatch.setattr(cache_lock, "BEAT_S", 0.05)
    mine = lock(tmp_path)
    assert mine.take() is None
    file = tmp_path / "model.lock"
    os.utime(file, (0, 0))
    until(lambda: file.stat().st_mtime > 1, 5, "a heartbeat")
    assert mine._owner.host == socket.gethostname()
    mine.release()
    assert not file.exists()


def test_release_of_what_was_taken_over(tmp_path: Path) -> None:
    """Who was taken for dead and comes back doesn't remove the lock of its successor."""
    mine, theirs = lock(tmp_path), lock(tmp_path, job="2")
    assert mine.take() is None
    (tmp_path / "model.lock").unlink()
    assert theirs.take() is None
    mine.release()
    assert (tmp_path / "model.lock").exists()
    theirs.release()
