"""A large download as an array of jobs: dealt by size, killed, retried, shared, published once."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.payloads import cache_shares
from batch.payloads.cache_fetch import size_of
from batch.payloads.cache_lock import Lock, this_process
from batch.payloads.cache_shares import deal
from batch.payloads.place import Place
from batch.recipes import Recipes
from lab.hub.server import Hub
from lifecycle.jobs import JobState
from lifecycle.runfolder import RunFolder, download_progress, model_folder, read_json
from lifecycle.sections.watching import Weights
from tests.batch.hub_lab import Job, killed, noise, toy
from tests.batch.recipe_lab import PLAN, SOURCE, deployment, settings
from tests.batch.slurm_town import SlurmTown
from tests.batch.test_render import lint
from tests.waiting import until

REPO = "acme/toy"
MIB = 2**20
LARGE = replace(PLAN, weights_bytes=3 * 10**11)
GOLDEN = Path(__file__).parents[1] / "golden" / "cache-array.sbatch"


@given(st.dictionaries(st.text("abc/", min_size=1, max_size=6), st.integers(0, 10**6)), st.integers(1, 9))
def test_dealt_by_size(sizes: dict[str, int], shares: int) -> None:
    """Every file once; the same however they are listed; no share is heavier than another by more than one file."""
    dealt = deal(sizes, shares)
    assert sorted(path for share in dealt for path in share) == sorted(sizes)
    assert deal(dict(reversed(sizes.items())), shares) == dealt
    weights = [sum(sizes[path] for path in share) for share in dealt]
    assert max(weights) - min(weights) <= max(sizes.values(), default=0)


@pytest.mark.parametrize(("size", "tasks"), [(0, 1), (100, 1), (101, 2), (750, 8), (10**6, 8)])
def test_how_many(size: int, tasks: int) -> None:
    """One job up to the size a task is to have, then one more for each such size, up to the most."""
    assert cache_shares.shares_for(size, 100, 8) == tasks


# The script -----------------------------------------------------------------------------------------------------


def recipes(shared: Path, **weights: int) -> Recipes:
    whole = settings(shared)
    whole = whole.model_copy(update={"weights": whole.weights.model_copy(update=weights)})
    return Recipes(whole, python="/opt/dayzero/bin/python")


def test_golden(tmp_path: Path) -> None:
    """The array's script, word for word; shellcheck agrees. To change it: delete the golden file, run again."""
    script = recipes(tmp_path).cache(deployment(LARGE), 1)
    lint(script.path)
    text = script.path.read_text().replace(str(tmp_path), "/shared").replace(str(SOURCE), "/opt/dayzero/source")
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN} was missing and is written; look at it, commit it, run again")
    assert text == GOLDEN.read_text()
    assert "#SBATCH --array" not in recipes(tmp_path, array_tasks=1).cache(deployment(LARGE), 1).path.read_text()


def test_only_what_is_not_done_is_tried_again(tmp_path: Path) -> None:
    """The first attempt is the whole array; the next ones leave out the shares whose files are verified and there."""
    made = recipes(tmp_path)

    def tasks(attempt: int) -> str:
        text = made.cache(deployment(LARGE), attempt).path.read_text()
        return re.search(r"^#SBATCH --array=(.*)$", text, re.M)[1]

    place = Place(run_folder=tmp_path / "runs/toy-llama-1", shared=tmp_path, repo=PLAN.model, revision=PLAN.revision)
    assert (tasks(1), tasks(2)) == ("0-2", "0-2")
    place.staging.mkdir(parents=True)
    for share in (0, 2):
        (place.staging / f"{share}").write_text("weights")
        cache_shares.sign(place, share, 3, [str(share)])
    assert (tasks(1), tasks(2)) == ("0-2", "1")
    (place.staging / "2").write_text("other weights")
    assert tasks(3) == "1-2"
    cache_shares.sign(place, 1, 3, [])
    cache_shares.sign(place, 2, 3, ["2"])
    assert tasks(4) == "0", "somebody has to publish"


# The tasks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        yield hub


def sharded(sizes: tuple[int, ...]) -> dict[str, bytes | str]:
    files = toy()
    del files["model.safetensors"]
    names = [f"model-{n:05d}-of-{len(sizes):05d}.safetensors" for n in range(1, len(sizes) + 1)]
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(names)}}
    shards = {name: noise(size, n) for n, (name, size) in enumerate(zip(names, sizes, strict=True))}
    return {**files, **shards, "model.safetensors.index.json": json.dumps(index)}


class Array:
    """The tasks of an array, each as the script starts it. `squeue`: what Slurm says, to those who ask."""

    def __init__(self, job: Job, shares: int, number: int = 41):
        self.job, self.shares, self.number = job, shares, number

    def start(self, share: int, **environment: str) -> subprocess.Popen[str]:
        slurm = {"SLURM_ARRAY_JOB_ID": str(self.number), "SLURM_ARRAY_TASK_ID": str(share)}
        slurm |= {"SLURM_JOB_ID": str(self.number + share)}
        return self.job.start("--share", str(share), "--shares", str(self.shares), **slurm, **environment)

    def run(self, share: int, **environment: str) -> int:
        process = self.start(share, **environment)
        _, errors = process.communicate(timeout=120)
        assert not errors, errors
        return process.returncode


def sent(hub: Hub) -> int:
    """Bytes of weights that have left the Hub."""
    return sum(e.sent for e in hub.requests("GET") if e.path.endswith(".safetensors") and e.status in (200, 206))


def stand_in_squeue(folder: Path, text: str, code: int = 0) -> str:
    """A PATH whose squeue says this."""
    program = folder / "bin" / "squeue"
    program.parent.mkdir(exist_ok=True)
    channel = ">&2" if code else ""
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/asked\necho '{text}' {channel}\nexit {code}\n")
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


def test_three_tasks_one_publication(tmp_path: Path, shared: Path) -> None:
    """At the same time: no byte comes twice, their progress adds up to the whole, all is published at once."""
    sizes = (2 * MIB, MIB, MIB, MIB, MIB)
    with Hub(tmp_path / "hub", bytes_per_s=4 * MIB) as hub, ExitStack() as stack:
        files = sharded(sizes)
        job = Job(hub, shared, REPO, hub.publish(files, REPO).head.sha)
        array = Array(job, 3)
        tasks = [array.start(share) for share in range(3)]
        for task in tasks:
            stack.enter_context(killed(task))
        seen: list[dict] = []

        def over() -> bool:
            if not job.target.exists() and (progress := download_progress(job.folder.cache)):
                seen.append(progress)
            return all(task.poll() is not None for task in tasks)

        until(over, 60, "three tasks to end", every=0.02)
        assert [task.returncode for task in tasks] == [0, 0, 0]
        assert sent(hub) == sum(sizes)
    manifest = read_json(job.target / "manifest.json")
    assert (
        {f["path"] for f in manifest["files"]}
        == set(files)
        == {p.name for p in job.target.iterdir()} - {"manifest.json"}
    )
    weights = {f["path"]: f["sha256"] for f in manifest["files"] if f["path"].endswith(".safetensors")}
    assert weights == {name: hashlib.sha256(files[name]).hexdigest() for name in weights}
    whole = sum(len(content) for content in files.values())
    assert {p["total"] for p in seen} <= {0, whole} and {p["files"] for p in seen} <= {0, len(files)}
    done = [p["done"] for p in seen]
    assert done == sorted(done) and any(0 < so_far < whole for so_far in done)
    assert job.progress["note"] == "published" and job.progress["done"] == whole
    assert list(job.staging.parent.iterdir()) == []


def test_a_killed_task_alone_is_run_again(hub: Hub, shared: Path, tmp_path: Path) -> None:
    """The others end well and publish nothing; its share, as another job, goes on where it was, and publishes."""
    sizes = (2 * MIB, 2 * MIB, 2 * MIB)
    job = Job(hub, shared, REPO, hub.publish(sharded(sizes), REPO).head.sha)
    array = Array(job, 3)
    hub.throttle(MIB // 4)
    victim = array.start(1)
    with killed(victim):
        until(lambda: any(p.stat().st_size > MIB // 2 for p in job.staging.glob("*.part")), 30, "half a MiB")
    hub.throttle(0)
    assert (array.run(0), array.run(2)) == (0, 0)
    assert not job.target.exists() and not job.failure
    place = Place(run_folder=job.folder.path, shared=shared, repo=REPO, revision=job.target.name)
    assert cache_shares.unfinished(place, 3) == [1]
    lock = job.staging.with_name(job.staging.name + ".lock")
    assert json.loads(lock.read_text())["job"] == "41", "the array's, whoever of it is alive"
    path = stand_in_squeue(tmp_path, "slurm_load_jobs error: Invalid job id specified", 1)
    assert Array(job, 3, number=52).run(1, PATH=path) == 0
    assert "--jobs=41" in (tmp_path / "asked").read_text()
    assert job.target.is_dir() and sent(hub) <= sum(sizes) + MIB // 2  # what was on the wire when it was killed
    assert list(job.staging.parent.iterdir()) == []


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("says", "code", "held"),
    [("SUSPENDED", 0, True), ("PENDING\nRUNNING", 0, True), ("PENDING", 0, False), ("", 0, False),
     ("Unable to contact slurm controller", 1, True)],
)  # fmt: skip
def test_who_is_alive_is_asked_of_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int, held: bool, again: bool
) -> None:
    """A lock that nobody touches is its job's as long as Slurm says that the job has processes; silence counts time.
    An earlier attempt of our own deployment is asked about at once."""
    monkeypatch.setenv("PATH", stand_in_squeue(tmp_path, says, code))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "41")
    theirs = Lock(tmp_path / "lock", this_process(tmp_path, whole_array=True))
    assert theirs.take() is None
    theirs.release(leave=True)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "52")
    another = Lock(tmp_path / "lock", this_process(tmp_path / "another", whole_array=True))
    assert another.take() is not None and not (tmp_path / "asked").exists(), "touched just now: nobody is asked"
    if not again:
        age(tmp_path / "lock", 30)
    ours = another if not again else Lock(tmp_path / "lock", this_process(tmp_path, whole_array=True))
    assert (ours.take() is not None) == held
    ours.release()


def test_another_deployment_waits_for_all_shares(tmp_path: Path, shared: Path) -> None:
    """An array for the same model, or one job, joins the download: it shows the sum and ends when it is published."""
    with Hub(tmp_path / "hub", bytes_per_s=MIB // 32) as hub, ExitStack() as stack:
        sha = hub.publish(sharded((2 * MIB, 2 * MIB)), REPO).head.sha
        one, two = Job(hub, shared, REPO, sha, "toy-1"), Job(hub, shared, REPO, sha, "toy-2")
        first = [Array(one, 2).start(share) for share in range(2)]
        for task in first:
            stack.enter_context(killed(task))
        until(lambda: download_progress(one.folder.cache).get("done", 0) > 0, 30, "the first bytes")
        second = [Array(two, 2, number=61).start(1), two.start()]
        for task in second:
            stack.enter_context(killed(task))

        def told() -> dict | None:
            shown = two.progress
            return shown if shown.get("done", 0) > 0 else None

        shown = until(told, 60, "progress at those who wait")
        assert shown["note"] == "job 41 is fetching this model; waiting for it" and shown["total"] > 4 * MIB
        hub.throttle(0)
        assert [task.wait(60) for task in (*first, *second)] == [0, 0, 0, 0]
        assert sent(hub) == 4 * MIB


def test_what_one_task_says_another_does_not_take_back(hub: Hub, shared: Path) -> None:
    """The reason of the task that failed is there when the others have ended well, until it is run again itself."""
    job = Job(hub, shared, REPO, hub.publish(sharded((MIB, MIB)), REPO).head.sha)
    array = Array(job, 2)
    hub.spoil("/api/models/", times=20, status=503)
    slurm = {"SLURM_ARRAY_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": "0"}
    failed = job.start("--share", "0", "--shares", "2", "--tries", "2", **slurm)
    failed.communicate(timeout=60)
    assert failed.returncode == 75 and job.failure["job"] == "41"
    hub.faults.clear()
    assert array.run(1) == 0 and job.failure["retryable"]
    assert array.run(0) == 0 and not job.failure and job.target.is_dir()


def test_a_file_that_was_touched_is_fetched_again(hub: Hub, shared: Path) -> None:
    """What a receipt says holds only for the very file: published is what the Hub's hashes say."""
    files = sharded((MIB, MIB))
    job = Job(hub, shared, REPO, hub.publish(files, REPO).head.sha)
    array = Array(job, 2)
    assert array.run(0) == 0
    mine = next(iter(read_json(job.folder.cache / "share-0.json")["files"]))
    (job.staging / mine).write_bytes(b"spoilt")
    assert array.run(1) == 0 and not job.target.exists()
    assert array.run(0) == 0 and job.target.is_dir()
    expected = files[mine]
    assert (job.target / mine).read_bytes() == (expected if isinstance(expected, bytes) else expected.encode())


# The whole way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def test_a_deployment_whose_download_is_an_array(
    kind: str, hub: Hub, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One task is killed: the other goes on, the bot sees their sum, the killed one alone is submitted again, where it
    was; the deployment goes on only when all shares are there."""
    if kind == "slurm":
        request.getfixturevalue("slurm_cluster")
    files = sharded((MIB, MIB))
    sha = hub.publish(files, PLAN.model).head.sha
    hub.throttle(MIB // 32)
    weights = Weights(array_bytes=MIB)
    with closing(SlurmTown(tmp_path, kind=kind, hub=hub.url, revision=sha, weights=weights, bytes=2 * MIB)) as town:
        folder = RunFolder(town.shared, town.name)
        target = model_folder(town.shared, PLAN.model, sha)
        second = target.parents[2] / ".staging" / f"{PLAN.model.replace('/', '--')}--{sha}" / SECOND
        town.ticks(lambda: size_of(second) > MIB // 64, 60, "the second share to arrive")
        for pid in processes_of(folder.path, share=1):
            os.kill(pid, signal.SIGKILL)
        town.ticks(lambda: town.look("cache", 1).tasks.get(1) is JobState.FAILED, 30, "the task to have failed")
        assert town.deployment.state == "CACHING" and not town.look("cache", 1).state.ended, "the other one goes on"
        both = size_of(second) + MIB // 64
        town.ticks(lambda: town.deployment.progress.get("done", 0) > both, 30, "the sum of both shares to be shown")
        assert town.deployment.progress["total"] == sum(map(len, files.values()))
        hub.throttle(0)
        town.ticks(lambda: town.deployment.state != "CACHING", 45, "the download to be over, before the lock is stale")
        assert {f["path"] for f in read_json(target / "manifest.json")["files"]} == set(files)
        assert "note.cache_again" in town.kinds() and "deployment.cached" in town.kinds(), town.kinds()
        assert "#SBATCH --array=1\n" in folder.script(f"dz-{town.name}-cache-2").read_text()
        again = [e for e in hub.requests("GET") if e.path.endswith(SECOND.removesuffix(".part"))]
        assert [e.status for e in again] == [200, 206], "it went on where it was"


SECOND = "model-00002-of-00002.safetensors.part"


def processes_of(run_folder: Path, share: int) -> list[int]:
    """Of the caching task with this share."""
    wanted, found = f"--run-folder\0{run_folder}\0--share\0{share}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if wanted in path.read_bytes():
                found.append(int(path.parent.name))
    return found
