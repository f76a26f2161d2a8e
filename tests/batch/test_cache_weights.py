"""The caching job as a process of its own, against the lab's Hub."""

import errno
import hashlib
import itertools
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hub.server import Hub
from lifecycle.runfolder import read_json
from tests.batch.hub_lab import ALICE, Job, killed, noise, toy
from tests.waiting import until

REPO = "acme/toy"
MIB = 2**20


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def downloaded(hub: Hub, name: str = "model.safetensors") -> int:
    """Bytes that the Hub has sent of a file, from itself or from where it redirects large files to."""
    sent = [e for e in hub.requests("GET") if e.path.endswith(name) or "/_cdn/" in e.path]
    return sum(e.sent for e in sent if e.status in (200, 206))


def test_fresh(hub: Hub, shared: Path) -> None:
    """A commit lands complete under models/org/name/sha, read-only, with a manifest of true hashes; no litter."""
    files = toy()
    job = Job(hub, shared, REPO, hub.publish(files, REPO).head.sha)
    assert job.run() == (0, "")
    assert (job.target / "model.safetensors").read_bytes() == files["model.safetensors"]
    manifest = read_json(job.target / "manifest.json")
    listed = {f["path"]: f for f in manifest["files"]}
    assert (
        set(listed) == {p.name for p in job.target.iterdir()} - {"manifest.json"} >= {"config.json", "tokenizer.json"}
    )
    assert listed["model.safetensors"]["sha256"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert stat.S_IMODE((job.target / "model.safetensors").stat().st_mode) == 0o444
    assert job.progress["done"] == job.progress["total"] == sum(f["size"] for f in manifest["files"])
    assert job.progress["files_done"] == job.progress["files"] == len(listed)
    assert not job.failure
    assert list(job.staging.parent.iterdir()) == []


def test_published_already(hub: Hub, shared: Path) -> None:
    """A second run is done at once and asks the Hub nothing, even when the Hub is gone."""
    job = Job(hub, shared, REPO, hub.publish(toy(), REPO).head.sha)
    job.run()
    hub.journal.clear()
    assert job.run() == (0, "")
    assert hub.requests() == []
    assert job.progress["note"] == "published"


@pytest.mark.parametrize("cdn", [False, True], ids=["direct", "redirected"])
def test_resumed_after_kill(tmp_path: Path, shared: Path, cdn: bool) -> None:
    """kill -9 in the middle: the next job asks for the rest only, and the bytes are right."""
    size = 6 * MIB
    with Hub(tmp_path / "hub", bytes_per_s=4 * MIB, cdn=cdn) as hub:
        job = Job(hub, shared, REPO, hub.publish(toy(size), REPO).head.sha)
        first = job.start()
        with killed(first):
            until(lambda: job.part() > 2 * MIB, 30, "a third of the file")
        kept = job.part()
        assert not job.target.exists()
        hub.throttle(0)
        hub.journal.clear()
        assert job.run() == (0, "")
        assert downloaded(hub) == size - kept
        assert (job.target / "model.safetensors").read_bytes() == noise(size)


def test_told_to_stop(tmp_path: Path, shared: Path) -> None:
    """SIGTERM (a preemption, scancel) ends the job soon, keeps what came, frees the lock, and is no failure."""
    with Hub(tmp_path / "hub", bytes_per_s=2 * MIB) as hub:
        job = Job(hub, shared, REPO, hub.publish(toy(20 * MIB), REPO).head.sha)
        process = job.start()
        with killed(process):
            until(lambda: job.part() > MIB, 30, "the first bytes")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 143
        assert job.part() > MIB
        assert not job.failure
        assert not job.staging.with_name(job.staging.name + ".lock").exists()


def test_progress_moves(tmp_path: Path, shared: Path) -> None:
    """While bytes come, progress.json is renewed at least twice a second, and its numbers grow to the whole."""
    with Hub(tmp_path / "hub", bytes_per_s=MIB) as hub:
        job = Job(hub, shared, REPO, hub.publish(toy(3 * MIB), REPO).head.sha)
        process = job.start()
        seen: dict[float, dict] = {}
        with killed(process):

            def ended() -> bool:
                if job.progress:
                    seen[job.progress["at"]] = job.progress
                return process.poll() is not None

            until(ended, 60, "the end", every=0.02)
    moving = [p for p in seen.values() if 0 < p["done"] < p["total"]]
    assert len(moving) >= 4
    times = [p["at"] for p in moving]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.9
    assert [p["done"] for p in moving] == sorted(p["done"] for p in moving)
    assert any(0.3 * MIB < p["rate"] < 3 * MIB for p in moving)


def test_damaged_part(hub: Hub, shared: Path) -> None:
    """Half a file that isn't a prefix of the true one is noticed by its hash and fetched anew."""
    job = Job(hub, shared, REPO, hub.publish(toy(MIB), REPO).head.sha)
    job.staging.mkdir(parents=True)
    (job.staging / "model.safetensors.part").write_bytes(bytes(MIB // 2))
    (job.staging / "config.json").write_text("a whole file, but a wrong one")
    assert job.run() == (0, "")
    assert (job.target / "model.safetensors").read_bytes() == noise(MIB)
    assert json.loads((job.target / "config.json").read_text())["model_type"] == "llama"


def test_hub_that_lies(hub: Hub, shared: Path) -> None:
    """A file that never becomes what its hash promises is never published; a person is told which."""
    sha = hub.publish(toy(), REPO).head.sha
    for _ in range(3):
        hub.spoil(r"/resolve/.*/tokenizer\.json", status=200, body="xx", headers={"Content-Length": "4"})
    job = Job(hub, shared, REPO, sha)
    assert job.run()[0] == 1
    assert "tokenizer.json" in job.failure["sentence"] and "damaged" in job.failure["sentence"]
    assert not job.failure["retryable"]
    assert not job.target.exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 503},
        {"cut_after": 30_000},
    ],
    ids=["429", "503", "cut"],
)
@pytest.mark.parametrize("where", ["/api/models/", "/resolve/"])
def test_trouble_that_passes(hub: Hub, shared: Path, fault: dict, where: str) -> None:
    """Two refusals or broken connections, at the listing or in a file, don't show in the end."""
    job = Job(hub, shared, REPO, hub.publish(toy(300_000), REPO).head.sha)
    hub.spoil(where, times=2, **fault)
    assert job.run() == (0, "")
    assert (job.target / "model.safetensors").read_bytes() == noise(300_000)
    assert not job.failure


def test_retry_after_is_honoured(hub: Hub, shared: Path) -> None:
    """429 with Retry-After: 2 means that the next request for that file comes two seconds later, not at once."""
    job = Job(hub, shared, REPO, hub.publish(toy(), REPO).head.sha)
    hub.spoil("/resolve/.*safetensors", status=429, headers={"Retry-After": "2"})
    assert job.run() == (0, "")
    first, second = (e.at for e in hub.requests("GET") if e.path.endswith("model.safetensors"))
    assert 2.0 <= second - first < 4.0


def test_trouble_that_stays(hub: Hub, shared: Path) -> None:
    """A Hub that never gets well: the job gives up after its tries, says so, and may be tried again."""
    job = Job(hub, shared, REPO, hub.publish(toy(), REPO).head.sha)
    hub.spoil("/resolve/.*safetensors", times=99, status=503)
    code, errors = job.run("--tries", "3")
    assert code == 75
    assert job.failure["retryable"] and "3 tries" in job.failure["sentence"]
    assert job.failure["sentence"] in errors
    assert len(hub.requests("model.safetensors")) == 3


def test_gated(hub: Hub, shared: Path) -> None:
    """Without access the sentence says who must accept what, and where; with access it works; no token is written."""
    sha = hub.publish(toy(), REPO, gated="manual").head.sha
    job = Job(hub, shared, REPO, sha)
    assert job.run(token="hf_lab_bob")[0] == 1
    assert "gated" in job.failure["sentence"] and f"{hub.url}/{REPO}" in job.failure["next_step"]
    assert not job.failure["retryable"]
    assert job.run(token=ALICE) == (0, "")
    assert not job.failure
    kept = "".join(p.read_text() for p in job.folder.path.rglob("*.json"))
    assert ALICE not in kept and "hf_lab" not in (job.target / "manifest.json").read_text()


def test_token_stays_at_the_hub(tmp_path: Path, shared: Path) -> None:
    """The address that a large file is redirected to never sees the token."""
    with Hub(tmp_path / "hub", cdn=True) as hub:
        job = Job(hub, shared, REPO, hub.publish(toy(), REPO, gated=True).head.sha)
        assert job.run(token=ALICE) == (0, "")
        redirected = [e for e in hub.requests("GET") if "/_cdn/" in e.path]
        assert redirected and not any(e.authorized for e in redirected)
        assert all(e.authorized for e in hub.requests("/resolve/"))


def test_bad_token(hub: Hub, shared: Path) -> None:
    """A token nobody knows gets a sentence about the token."""
    job = Job(hub, shared, REPO, hub.publish(toy(), REPO).head.sha)
    assert job.run(token="hf_nobody")[0] == 1
    assert "token" in job.failure["sentence"] and "HF_TOKEN" in job.failure["next_step"]


def test_no_space_before(hub: Hub, shared: Path) -> None:
    """When it can't fit, nothing is fetched, and the sentence has the numbers."""
    job = Job(hub, shared, REPO, hub.publish(toy(), REPO).head.sha)
    assert job.run("--keep-free", str(10**18))[0] == 1
    assert "1,000,000,000,000,000,000 must stay free" in job.failure["sentence"]
    assert "Make room for" in job.failure["next_step"] and not job.failure["retryable"]
    assert not hub.requests("/resolve/")


def test_no_space_in_the_middle(hub: Hub, shared: Path) -> None:
    """A file system that fills up while the file is written: a sentence with the file's name, and the part is kept."""
    job = Job(hub, shared, REPO, hub.publish(toy(2 * MIB), REPO).head.sha)
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20));"
        "sys.argv[0] = 'cache_weights'; runpy.run_module('batch.payloads.cache_weights', run_name='__main__')"
    )
    argv = [sys.executable, "-c", limited, "--run-folder", str(job.folder.path), "--keep-free", "0"]
    ended = subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    assert os.strerror(errno.EFBIG) in job.failure["sentence"] and "model.safetensors" in job.failure["sentence"]
    assert job.part() == MIB
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != MIB
    assert job.run() == (0, "")


def test_two_at_once(tmp_path: Path, shared: Path) -> None:
    """Two deployments of one model share one download; the one that waits shows the other's progress."""
    size = 4 * MIB
    with Hub(tmp_path / "hub", bytes_per_s=2 * MIB) as hub:
        sha = hub.publish(toy(size), REPO).head.sha
        one, two = Job(hub, shared, REPO, sha, "toy-1"), Job(hub, shared, REPO, sha, "toy-2")
        first = one.start(SLURM_JOB_ID="41")
        with killed(first):
            until(lambda: one.part() > 0, 30, "the first bytes")
            second = two.start(SLURM_JOB_ID="42")
            with killed(second):
                until(lambda: two.progress.get("done", 0) > 0, 30, "progress at the one that waits")
                assert two.progress["note"] == "job 41 is fetching this model; waiting for it"
                assert (first.wait(60), second.wait(60)) == (0, 0)
        assert downloaded(hub) == size
        assert two.progress["done"] == two.progress["total"] == one.progress["total"]


def test_taking_over(tmp_path: Path, shared: Path) -> None:
    """When the job that fetches is killed, the one that waits goes on where it stopped."""
    size = 4 * MIB
    with Hub(tmp_path / "hub", bytes_per_s=2 * MIB) as hub:
        sha = hub.publish(toy(size), REPO).head.sha
        one, two = Job(hub, shared, REPO, sha, "toy-1"), Job(hub, shared, REPO, sha, "toy-2")
        first = one.start()
        with killed(first):
            until(lambda: one.part() > MIB, 30, "some bytes")
            second = two.start()
            with killed(second):
                until(lambda: "waiting" in two.progress.get("note", ""), 30, "the second to wait")
                first.kill()
                first.wait()
                assert second.wait(60) == 0
        assert downloaded(hub) < size + MIB
        assert (two.target / "model.safetensors").read_bytes() == noise(size)


def test_sharded_by_index(hub: Hub, shared: Path) -> None:
    """What the index names is fetched, in folders too; copies in other formats, pickles and code are left there."""
    files = toy()
    del files["model.safetensors"]
    shards = {f"model-0000{n}-of-00002.safetensors": noise(50_000, n) for n in (1, 2)}
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(shards)}}
    others = {
        "model.safetensors.index.json": json.dumps(index),
        "consolidated.safetensors": noise(1000, 7),
        "original/consolidated.00.pth": noise(1000, 8),
        "pytorch_model.bin": noise(1000, 9),
        "modeling_toy.py": "raise SystemExit('never run')",
        "assets/logo.txt": "a folder",
        "manifest.json": "{}",
    }
    job = Job(hub, shared, REPO, hub.publish({**files, **shards, **others}, REPO).head.sha)
    assert job.run() == (0, "")
    there = {str(p.relative_to(job.target)) for p in job.target.rglob("*") if p.is_file()}
    assert there >= {*shards, "assets/logo.txt", "config.json"}
    assert not there & {"consolidated.safetensors", "pytorch_model.bin", "modeling_toy.py"}
    left = read_json(job.target / "manifest.json")["left_out"]
    assert left["modeling_toy.py"] == "code from the repository" and "pickle" not in left["consolidated.safetensors"]
    assert {"manifest.json", "original/consolidated.00.pth"} <= set(left)


def test_code_that_the_plan_allows(hub: Hub, shared: Path) -> None:
    """*.py comes along only when the plan says trust_remote_code."""
    sha = hub.publish({**toy(), "modeling_toy.py": "x = 1"}, REPO).head.sha
    job = Job(hub, shared, REPO, sha, trust_remote_code=True)
    assert job.run() == (0, "")
    assert (job.target / "modeling_toy.py").exists()


def test_pickle_only(hub: Hub, shared: Path) -> None:
    """Weights that are only pickles are refused, unless the plan allows them."""
    files = toy()
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    sha = hub.publish(files, REPO).head.sha
    assert (job := Job(hub, shared, REPO, sha)).run()[0] == 1
    assert "pickle" in job.failure["sentence"]
    assert Job(hub, shared, REPO, sha, allow_pickle=True).run() == (0, "")


def test_no_plan(hub: Hub, shared: Path) -> None:
    """Without plan.json, or with one that lacks something, the sentence names the file."""
    job = Job(hub, shared, REPO, "a" * 40)
    job.folder.plan.write_text('{"v": 1, "plan": {}}')
    assert job.run()[0] == 1
    assert "plan.json" in job.failure["sentence"] and "shared" in job.failure["sentence"]


def test_a_name_of_the_repository_that_would_leave_its_folder(hub: Hub, shared: Path) -> None:
    """A listing with ../ in it is refused before anything is written."""
    sha = hub.publish(toy(), REPO).head.sha
    evil = {"id": REPO, "sha": sha, "siblings": [{"rfilename": "../../../evil", "size": 1, "blobId": "0" * 40}]}
    hub.spoil("/api/models/", status=200, body=evil)
    job = Job(hub, shared, REPO, sha)
    assert job.run()[0] == 1
    assert "../../../evil" in job.failure["sentence"]
    assert not any(p.name == "evil" for p in shared.rglob("*"))


def test_what_a_node_needs(tmp_path: Path) -> None:
    """The job imports no Slack, LiteLLM, pydantic or Jinja (SQLite comes with huggingface_hub's filelock, unused)."""
    code = "import sys, batch.payloads.cache_weights; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    argv = [sys.executable, "-c", code]
    loaded = subprocess.run(
        argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "huggingface_hub" in loaded
    assert not {"slack_bolt", "slack_sdk", "litellm", "sqlite_utils", "jinja2", "pydantic"} & set(loaded)
