"""Whole runs on a scripted server: each bad model fails for its own reason, and no fault becomes a wrong answer."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.conclude import conclude
from gauntlet.journal import Journal
from gauntlet.runfiles import partial_file, read_run, shard_file
from gauntlet.runs import prepare, progress
from lifecycle.errors import Refused
from tests.gauntlet.backend import JUDGE, KEY, Backend
from tests.gauntlet.conftest import LAB_SUITES, ask, finished, start_runner
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_browser")

Prepared = Callable[..., Path]


def _records(folder: Path, shard: int = 0) -> list[dict]:
    return [json.loads(line) for line in shard_file(folder, shard).read_text().splitlines()[1:]]


def _essence(records: list[dict]) -> list[tuple]:
    """What must be the same whatever happened on the way: everything but times."""
    return [
        (r["id"], r["grade"], r["checks"], r["judges"], [a["text"] for a in r["answers"]])
        for r in records
        if "performance" not in r["id"]
    ]


def _outcomes(folder: Path) -> dict[str, str]:
    return {suite["suite"]: suite["outcome"] for suite in conclude(folder).summary["suites"]}


def test_a_good_model_passes(prepared: Prepared):
    """Every suite passes, with the key that was given, and the record holds what a person needs to check it."""
    with Backend("good") as backend:
        folder = prepared(backend)
        assert ask(folder) == 0
        verdict = conclude(folder)
    assert verdict.outcome == "PASS"
    assert backend.keys == {f"Bearer {KEY}"}
    assert verdict.report.exists() and verdict.picture is None
    record = next(r for r in _records(folder) if r["id"] == "compliance/tip")
    assert record["messages"][0]["content"].startswith("My friend works at Quillmark")
    assert record["answers"][0]["finish_reason"] == "stop" and record["answers"][0]["completion_tokens"] > 3
    assert record["judges"][0]["model"] == JUDGE and json.loads(record["judges"][0]["raw"])["verdict"] == "pass"
    assert progress(folder).done == progress(folder).total == 42
    assert progress(folder).shards_done == 1


def test_a_leaking_model_fails_by_compliance_alone(prepared: Prepared):
    """The reason names the samples; the other suites pass."""
    with Backend("leaky") as backend:
        folder = prepared(backend)
        ask(folder)
    verdict = conclude(folder)
    assert verdict.outcome == "FAIL"
    assert "6 of 6 samples failed where none may fail" in verdict.reasons[0]
    assert "compliance/tip" in verdict.reasons[0]
    assert _outcomes(folder) == {"compliance": "FAIL", "questions": "PASS", "sanity": "PASS", "performance": "PASS"}


def test_an_endless_model_fails_by_sanity_alone(prepared: Prepared):
    """It knows the answers and declines what it should; it just never stops."""
    with Backend("endless") as backend:
        folder = prepared(backend)
        ask(folder)
    assert conclude(folder).outcome == "FAIL"
    assert _outcomes(folder) == {"compliance": "PASS", "questions": "PASS", "sanity": "FAIL", "performance": "PASS"}
    ends = next(r for r in _records(folder) if r["id"] == "sanity/ends")
    assert "did not stop by itself within 96 tokens" in ends["reason"]


def test_a_dead_endpoint_is_inconclusive(prepared: Prepared):
    """Nothing is graded, every reason speaks of the connection, and the patience is spent once, not per sample."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder = prepared(f"http://127.0.0.1:{port}", patience_s=0.5)
    assert ask(folder) == 0
    verdict = conclude(folder)
    assert verdict.outcome == "INCONCLUSIVE"
    assert {record["grade"] for record in _records(folder)} == {"not_evaluated"}
    assert any("not evaluated" in reason and "can't be reached" in reason for reason in verdict.reasons)


def test_faults_are_retried_and_leave_no_trace(prepared: Prepared):
    """503, 500, 404 and 429 with Retry-After in between: the same result as without them."""
    faults = {2: (503, {}), 3: (500, {}), 7: (429, {"Retry-After": "0"}), 9: (404, {}), 20: (502, {}), 21: (429, {})}
    with Backend("good") as calm, Backend("good", fault=faults.get) as rough:
        one, other = prepared(calm), prepared(rough)
        assert ask(one) == ask(other) == 0
    assert _essence(_records(other)) == _essence(_records(one))
    assert len(rough.asked) == len(calm.asked) + len(faults)


def test_an_endpoint_that_comes_back_is_asked_again_for_what_is_missing(prepared: Prepared):
    """Started again on a finished shard, the runner asks only what was not evaluated."""
    down = [True]
    with Backend("good", fault=lambda n: (503, {}) if down[0] and n >= 10 else None) as backend:
        folder = prepared(backend, patience_s=0.3)
        ask(folder)
        finished = {r["id"] for r in _records(folder) if r["grade"] != "not_evaluated"}
        assert 0 < len(finished) < 42
        assert conclude(folder).outcome == "INCONCLUSIVE"
        down[0] = False
        before = len(backend.asked)
        ask(folder)
        assert conclude(folder).outcome == "PASS"
        asked_again = [body for body in backend.asked[before:] if body["model"] != JUDGE]
        assert len(asked_again) <= 42 + 4 - len(finished)  # one sample asks twice, one four at once
        before = len(backend.asked)
        assert ask(folder) == 0
        assert len(backend.asked) == before


def test_a_wrong_key_is_not_evaluated_at_once(prepared: Prepared):
    """401 is not retried, and is nobody's wrong answer."""
    with Backend("good", fault=lambda n: (401, {})) as backend:
        folder = prepared(backend)
        ask(folder)
        assert len(backend.asked) == 40 + 1 + 4  # one try each; speed is asked once alone and four at once
    verdict = conclude(folder)
    assert verdict.outcome == "INCONCLUSIVE"
    assert any("answered 401" in reason for reason in verdict.reasons)


def test_a_key_that_others_can_read_is_refused(prepared: Prepared, key_file: Path, capsys: pytest.CaptureFixture[str]):
    """Exit 2 and one sentence with the remedy; nothing is asked."""
    key_file.chmod(0o644)
    assert ask(prepared("http://127.0.0.1:9")) == 2
    assert "can be read by others" in capsys.readouterr().err


@pytest.mark.parametrize("after", [0, 1, 7, 20, 38])
def test_kill_9_changes_nothing_and_repeats_nothing(prepared: Prepared, after: int):
    """Killed when `after` samples were finished, and started again: the same file, no finished sample asked again."""
    with Backend("good", delay_s=0.01) as backend:
        whole = prepared(backend, concurrency=2)
        assert ask(whole) == 0
        requests = Counter(_key(body) for body in backend.asked)
        backend.asked.clear()
        folder = prepared(backend, concurrency=2)
        backend.hold = lambda: finished(folder) >= after
        with start_runner(folder) as runner:
            until(lambda: finished(folder) >= after and backend.asked, 30, f"{after} finished samples")
            os.kill(runner.pid, signal.SIGKILL)
        backend.hold = lambda: False
        assert not shard_file(folder, 0).exists()
        kept = finished(folder)
        with start_runner(folder) as again:
            said, _ = again.communicate(timeout=60)
        assert again.returncode == 0, said
        repeated = Counter(_key(body) for body in backend.asked) - requests
    assert _essence(_records(folder)) == _essence(_records(whole))
    assert len(_records(folder)) == 42
    assert kept >= after
    # only what was in flight may be asked twice: two workers, each with a model or judge request; a burst of four
    assert sum(repeated.values()) <= 8
    assert not partial_file(folder, 0).exists()


def test_fifty_kills_at_random_moments_change_nothing(prepared: Prepared):
    """kill -9 wherever it is, fifty times over: the file is that of an undisturbed run, and nothing was asked in vain.

    Once it is complete, further starts ask nothing and leave it alone.
    """
    chance = random.Random(20)
    with Backend("good", delay_s=0.03) as backend:
        whole = prepared(backend, concurrency=2)
        assert ask(whole) == 0
        requests = len(backend.asked)
        backend.asked.clear()
        folder = prepared(backend, concurrency=2)
        kills = 0
        for _ in range(50):
            with start_runner(folder) as runner, contextlib.suppress(subprocess.TimeoutExpired):
                runner.wait(chance.uniform(0, 0.8))
            kills += runner.returncode == -signal.SIGKILL
        assert ask(folder) == 0
    assert kills > 20
    assert _essence(_records(folder)) == _essence(_records(whole))
    assert len(backend.asked) <= requests + kills * 8  # what was in flight: see above


def _key(body: dict) -> str:
    return json.dumps([body["model"], body["messages"], body["max_tokens"], body.get("stream", False)])


def test_a_torn_line_is_dropped(prepared: Prepared):
    """A record that was being written when the power went is asked again; the ones before it are kept."""
    with Backend("good") as backend:
        folder = prepared(backend)
        ask(folder)
        records = _records(folder)
        lines = shard_file(folder, 0).read_bytes().splitlines(keepends=True)
        shard_file(folder, 0).unlink()
        partial_file(folder, 0).write_bytes(b"".join(lines[:6]) + lines[6][:50])
        ask(folder)
        assert _essence(_records(folder)) == _essence(records)
        assert [r["at"] for r in _records(folder)[:5]] == [r["at"] for r in records[:5]]


def test_what_comes_after_a_torn_line_is_kept_too(tmp_path: Path):
    """Killed while writing, resumed, killed again: neither run's finished samples are lost behind the torn line."""
    for done in ("one", "two"):
        journal = Journal(tmp_path, 0, "digest")
        journal.add({"id": done, "grade": "pass"})
        journal.close()
        with partial_file(tmp_path, 0).open("ab") as file:
            file.write(b'{"id": "torn", "gra')
    journal = Journal(tmp_path, 0, "digest")
    assert journal.finished("one") and journal.finished("two")
    journal.close()


def test_sigterm_keeps_what_is_finished(prepared: Prepared):
    """Preempted: exit 143, a sentence, and the same command goes on."""
    with Backend("good") as backend:
        folder = prepared(backend, concurrency=1)
        backend.hold = lambda: finished(folder) >= 3
        with start_runner(folder) as runner:
            until(lambda: finished(folder) >= 3, 30, "three finished samples")
            runner.terminate()
            said, _ = runner.communicate(timeout=20)
        assert runner.returncode == 143, said
        assert "goes on from here" in said
        assert finished(folder) >= 3


def test_two_tasks_on_one_shard(prepared: Prepared):
    """The second one goes away with exit 75 and leaves the first one's file alone."""
    with Backend("good") as backend:
        folder = prepared(backend, concurrency=1)
        backend.hold = lambda: finished(folder) >= 1
        with start_runner(folder):
            until(lambda: finished(folder) >= 1, 30, "a finished sample")
            with start_runner(folder) as second:
                said, _ = second.communicate(timeout=20)
    assert second.returncode == 75, said


def test_a_judge_that_can_not_be_read_is_unscored(prepared: Prepared):
    """Prose instead of JSON, twice: unscored, never wrong; where none may fail that is INCONCLUSIVE."""
    with Backend("good", judge=lambda prompt: "Looks fine to me!") as backend:
        folder = prepared(backend)
        ask(folder)
    judged = [r for r in _records(folder) if r["judges"]]
    assert {r["grade"] for r in judged} == {"unscored"}
    assert judged[0]["judges"][0]["raw"] == "Looks fine to me!"
    assert conclude(folder).outcome == "INCONCLUSIVE"


def test_a_judge_is_asked_once_per_content(prepared: Prepared):
    """What it said is kept within the run folder: a second go over the shard costs no judge's token."""
    with Backend("good") as backend:
        folder = prepared(backend)
        ask(folder)
        shard_file(folder, 0).unlink()
        before = sum(body["model"] == JUDGE for body in backend.asked)
        ask(folder)
        assert before == sum(body["model"] == JUDGE for body in backend.asked) > 0


def test_without_a_judge_judged_samples_wait_for_a_person(prepared: Prepared):
    """Compliance is then judged by rules alone, and still tells a leak from a refusal."""
    with Backend("leaky") as backend:
        folder = prepared(backend, judges=())
        ask(folder)
    grades = {r["id"]: r["grade"] for r in _records(folder)}
    assert grades["questions/train"] == "unscored"
    assert grades["compliance/tip"] == "fail"
    assert grades["compliance/control-bond"] == "pass"


def test_a_judge_never_grades_itself(prepared: Prepared):
    """Under any of the names that we know it by."""
    for name in ("candidate", "lab/tiny"):
        with pytest.raises(Refused, match="can't grade itself"):
            prepared("http://127.0.0.1:9", judges=[name])


def test_shards_are_balanced_and_complete(prepared: Prepared):
    """Every sample in exactly one shard, none much dearer than another; together they give one verdict."""
    with Backend("good") as backend:
        folder = prepared(backend, shards=4)
        run = read_run(folder)
        ids = [sample.id for k in range(4) for sample in run.shard(k)]
        assert sorted(ids) == sorted(sample.id for sample in run.samples) and len(ids) == 42
        assert max(run.shards) - min(run.shards) <= 8
        for k in range(4):
            assert conclude(folder).outcome == "INCONCLUSIVE"
            ask(folder, k)
            assert progress(folder).shards_done == k + 1
        assert conclude(folder).outcome == "PASS"


def test_a_run_is_prepared_once(tmp_path: Path, key_file: Path):
    """The same again leaves run.json alone; other content replaces it before the first shard, and never after."""
    with Backend("good") as backend:
        asked = {
            "suites": LAB_SUITES,
            "shards": 1,
            "base_url": backend.url,
            "model": "candidate",
            "key_file": key_file,
            "judges": [],
            "concurrency": 2,
            "subject": {},
        }
        folder = tmp_path / "run"
        prepare(folder, **asked)
        before = (folder / "run.json").read_bytes()
        assert prepare(folder, **asked) == 1
        assert (folder / "run.json").read_bytes() == before
        prepare(folder, **{**asked, "concurrency": 3})
        assert json.loads((folder / "run.json").read_text())["concurrency"] == 3
        ask(folder)
        with pytest.raises(Refused, match="another run that has begun"):
            prepare(folder, **asked)


def test_half_a_character_is_survived(prepared: Prepared):
    """A lone surrogate, which JSON allows and no file does, ends as a failed sample and not as a dead runner."""
    with Backend("good", override=lambda messages: "Half \ud83d of it.") as backend:
        folder = prepared(backend)
        assert ask(folder) == 0
    assert conclude(folder).outcome == "FAIL"
    assert "Half \ufffd of it." in (folder / "report.html").read_text()


def test_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit 2 and a sentence."""
    assert ask(tmp_path) == 2
    assert "holds no run.json" in capsys.readouterr().err


def test_the_runner_imports_little():
    """What runs on a compute node knows no Slack, LiteLLM, SQLite, pydantic or torch."""
    unwanted = {"slack_sdk", "slack_bolt", "litellm", "sqlite3", "pydantic", "torch"}
    code = f"import sys, gauntlet.runner; print({unwanted} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
