"""Which weights stay, which go, and how a mirror is taken over."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch import weights
from batch.adopting import adopt
from batch.payloads import cache_lock
from batch.weights import Weights, choose, remove, survey
from bot.cli import main
from lab.hub.server import Hub
from lifecycle import queries
from lifecycle.errors import NotFound, Refused
from lifecycle.jobs import JobState, Sighting
from lifecycle.runfolder import RunFolder, model_folder, read_json, write_json
from tests.batch.hub_lab import noise, toy
from tests.lifecycle.test_story import NAME, approve
from tests.lifecycle.town import SHA, Town

DAY = 86_400.0
FREE = st.integers(0, 100)


def some(n: int, size: int, kept: bool, staged: bool = False) -> Weights:
    return Weights(repo=f"acme/m{n}", revision="0", folder=Path(str(n)), size=size, last_used=n,
                   kept="pinned" if kept else "", staged=staged)  # fmt: skip


@given(st.lists(st.builds(some, FREE, FREE, st.booleans(), st.booleans())), FREE, st.integers(0, 300))
def test_what_goes(found: list[Weights], free: int, wanted: int) -> None:
    """Nothing that is kept; not one more than needed; enough, when there is enough; half fetched and oldest first."""
    going = choose(found, free, wanted)
    assert not any(one.kept for one in going)
    assert free + sum(one.size for one in going[:-1]) < wanted or not going
    everything = sum(one.size for one in found if not one.kept)
    assert free + sum(one.size for one in going) >= min(wanted, free + everything)
    order = [(not one.staged, one.last_used) for one in going]
    assert order == sorted(order)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.ledger.close()


def put(town: Town, name: str, revision: str = SHA, at: float | None = None) -> Path:
    folder = model_folder(town.shared, f"acme/{name}", revision)
    at = town.clock.now - 30 * DAY if at is None else at
    write_json(folder / "manifest.json", {"bytes": 5, "at": at})
    return folder


def looked(town: Town, keep_s: float = 7 * DAY) -> dict[str, str]:
    found = survey(town.shared, town.ledger, town.scheduler, keep_s, town.clock.now)
    return {("." if one.staged else "") + one.repo.removeprefix("acme/"): one.kept for one in found}


def test_who_needs_what(town: Town) -> None:
    """A living deployment, a server's heartbeat, a pin and recent use keep weights; nothing else does."""
    for name in ("Tiny-Good", "Leased", "Stale-Lease", "Pinned", "Old"):
        put(town, name)
    put(town, "Recent", at=town.clock.now - DAY)
    approve(town)
    for name, age in (("Leased", 60), ("Stale-Lease", 3600)):
        server = RunFolder(town.shared, f"by-hand-{name}").server(1)
        write_json(server / "launch.json", {"model_folder": str(model_folder(town.shared, f"acme/{name}", SHA))})
        write_json(server / "heartbeat.json", {"at": town.clock.now - age})
    weights.pin(town.shared, "acme/Pinned", SHA, "alice")
    assert looked(town) == {
        "Tiny-Good": f"{NAME} is CACHING", "Leased": "a server reads it", "Stale-Lease": "", "Old": "",
        "Pinned": "pinned by alice", "Recent": "used less than 7 days ago",
    }  # fmt: skip
    weights.unpin(town.shared, "acme/Pinned", SHA)
    assert looked(town)["Pinned"] == ""
    with pytest.raises(NotFound):
        weights.pin(town.shared, "acme/Nothing", SHA, "alice")
    town.ledger.move_deployment(queries.deployment(town.ledger.connection, NAME), "cancelled")
    assert looked(town)["Tiny-Good"] == f"{NAME} is DRAINING", "its server may still read them"
    town.ledger.move_deployment(queries.deployment(town.ledger.connection, NAME), "drained")
    assert looked(town)["Tiny-Good"] == "used less than 7 days ago"
    assert looked(town, keep_s=0)["Tiny-Good"] == ""


@pytest.mark.parametrize(
    ("state", "kept"),
    [(JobState.RUNNING, True), (JobState.QUEUED, True), (JobState.UNKNOWN, True), (JobState.FAILED, False),
     (JobState.CANCELLED, False), (JobState.GONE, False)],
)  # fmt: skip
def test_only_the_scheduler_says_that_a_download_is_dead(town: Town, state: JobState, kept: bool) -> None:
    """What a job half fetched stays as long as the job may live, and while the scheduler is silent."""
    staging = town.shared / "models" / ".staging" / f"acme--Half--{SHA}"
    staging.mkdir(parents=True)
    (staging / "model.safetensors.part").write_bytes(b"x" * 5000)
    owner = cache_lock.Owner("t", "901", "elsewhere", 1, "1", "p", "")
    staging.with_name(f"{staging.name}.lock").write_text(json.dumps(owner.__dict__))
    town.scheduler.jobs["901"] = Sighting(handle="901", name="dz-x-cache-1", state=state, word=state.value)
    assert looked(town, keep_s=0) == {".Half": "job 901 is fetching it" if kept else ""}


def test_nobody_takes_weights_from_under_an_approval(town: Town) -> None:
    """Approved, pinned or being fetched between the look and the deletion: they stay. Else they are gone, at once."""
    folder, other = put(town, "Tiny-Good"), put(town, "Old")
    going = {one.repo: one for one in survey(town.shared, town.ledger, town.scheduler, 0, town.clock.now)}
    approve(town)
    assert not remove(town.shared, town.ledger, going["acme/Tiny-Good"]) and folder.is_dir()
    weights.pin(town.shared, "acme/Old", SHA, "alice")
    assert not remove(town.shared, town.ledger, going["acme/Old"]) and other.is_dir()
    weights.unpin(town.shared, "acme/Old", SHA)
    lock = cache_lock.Lock(town.shared / "models/.staging" / f"acme--Old--{SHA}.lock", cache_lock.this_process(other))
    assert lock.take() is None
    assert not remove(town.shared, town.ledger, going["acme/Old"]) and other.is_dir()
    lock.release()
    assert remove(town.shared, town.ledger, going["acme/Old"]) and not other.exists()
    assert [p for p in (town.shared / "models/.staging").iterdir() if p.is_dir()] == []


def test_a_mirror_is_verified_and_published(tmp_path: Path) -> None:
    """A snapshot of links, as in the Hub's own cache: good files are linked, a damaged one is fetched, more is left."""
    with Hub(tmp_path / "hub") as hub:
        files = toy(2_000_000) | {"model-extra.bin": noise(100)}
        sha = hub.publish(files, "acme/toy").head.sha
        blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
        blobs.mkdir(), snapshot.mkdir()
        for n, (name, content) in enumerate({**files, "notes.txt": "mine"}.items()):
            content = content.encode() if isinstance(content, str) else content
            (blobs / str(n)).write_bytes(b"?" * len(content) if name == "tokenizer.json" else content)
            (snapshot / name).symlink_to(blobs / str(n))
        hub.journal.clear()
        target = adopt(tmp_path / "shared", hub.url, "acme/toy", sha, snapshot)
        assert sum(e.sent for e in hub.requests("GET") if "/_cdn/" in e.path) == 0, "no weights were sent"
        with pytest.raises(Refused, match="published already"):
            adopt(tmp_path / "shared", hub.url, "acme/toy", sha, snapshot)
        with pytest.raises(NotFound):
            adopt(tmp_path / "shared", hub.url, "acme/toy", "1" * 40, tmp_path / "nowhere")
    assert target == model_folder(tmp_path / "shared", "acme/toy", sha)
    assert (target / "tokenizer.json").read_text() == "{}" and (blobs / "1").read_bytes() == b"??"
    assert (target / "model.safetensors").stat().st_nlink == 2
    listed = {f["path"] for f in read_json(target / "manifest.json")["files"]}
    assert listed == {p.name for p in target.iterdir()} - {"manifest.json"} and "notes.txt" not in listed


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """list, gc --dry-run (deletes nothing), pin, gc (takes what may go), unpin; each answers in JSON, too."""
    config = tmp_path / "dayzero.toml"
    config.write_text("[cluster]\nkind = 'local'\n[weights]\nkeep_days = 0\nkeep_free = 0\n")
    for name in ("Old", "Dear"):
        write_json(model_folder(tmp_path / "shared", f"acme/{name}", SHA) / "manifest.json", {"bytes": 5, "at": 1.0})

    def say(*words: str) -> dict:
        assert main(["--config", str(config), "--json", "weights", *words]) == 0
        return json.loads(capsys.readouterr().out)

    assert [one["repo"] for one in say("list")["weights"]] == ["acme/Dear", "acme/Old"]
    assert say("gc")["gone"] == [], "there is room"
    say("pin", "acme/Dear")
    assert [one["repo"] for one in say("gc", "--dry-run", "--free", "99999999")["gone"]] == ["acme/Old"]
    assert len(say()["weights"]) == 2
    assert [one["repo"] for one in say("gc", "--free", "99999999")["gone"]] == ["acme/Old"]
    say("unpin", "acme/Dear")
    assert [one["kept"] for one in say("list")["weights"]] == [""]
    assert main(["--config", str(config), "weights", "gc", "--free", "99999999"]) == 0
    assert "acme/Dear@3f2a1b000000 is gone" in (said := capsys.readouterr().out) and "not 99,999,999.0 GiB" in said
