"""The lab's Hub, asked by the real huggingface_hub client."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import huggingface_hub
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lab.hub.remote import RemoteHub
from lab.hub.server import Hub
from tests.waiting import until

ALICE, BOB = "hf_lab_alice", "hf_lab_bob"
MEBIBYTE = 1024 * 1024


def safetensors(**tensors: tuple[str, list[int]]) -> bytes:
    """A safetensors file whose tensors hold zeros: name → (dtype, shape)."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = {"BF16": 2, "F8_E4M3": 1, "F32": 4}[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


MODEL = {
    "README.md": "---\nlicense: apache-2.0\nbase_model: acme/base\ntags: [toy]\n---\n# Toy\n",
    "config.json": json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64}),
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}", "model_max_length": 512}),
    "model.safetensors": safetensors(embed=("BF16", [100, 64]), head=("F8_E4M3", [64, 10])),
    "extra/notes.txt": "a folder",
}


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client talks to loopback only, without telemetry, progress bars or a token of this machine."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    root = tmp_path / "hub"
    root.mkdir()
    with Hub(root) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def fetch(hub: Hub, folder: Path, repo_id: str, **how: object) -> Path:
    """snapshot_download into an own cache."""
    how.setdefault("token", False)
    return Path(snapshot_download(repo_id, endpoint=hub.url, cache_dir=folder, **how))


def test_everything_the_watcher_asks_for(hub: Hub, api: HfApi) -> None:
    """One expanded list call shows dates, card, config, tags and true parameter totals of a model."""
    hub.publish(MODEL, "acme/toy", created_at="2026-01-02T03:04:05Z")
    hub.publish({"config.json": "{}"}, "other/thing")
    expand = ["createdAt", "lastModified", "sha", "tags", "gated", "private", "pipeline_tag", "library_name",
              "cardData", "config", "safetensors", "siblings", "baseModels"]  # fmt: skip
    (model,) = api.list_models(author="acme", expand=expand)
    assert model.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert model.safetensors.parameters == {"BF16": 6400, "F8_E4M3": 640}
    assert model.safetensors.total == 7040
    assert model.config == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "tokenizer_config": {"chat_template": "{{ messages }}"},
    }
    assert {"license:apache-2.0", "base_model:acme/base", "toy", "safetensors"} <= set(model.tags)
    assert (model.pipeline_tag, model.library_name, model.gated) == ("text-generation", "transformers", False)
    assert model.card_data.license == "apache-2.0"
    assert model.base_models["models"] == [{"id": "acme/base"}]
    assert {sibling.rfilename for sibling in model.siblings} == set(MODEL)
    assert model.downloads is None, "what expand doesn't name isn't sent"


def test_a_plain_list_is_as_poor_as_the_hubs(hub: Hub, api: HfApi) -> None:
    """Without expand there is no sha and no lastModified, so code that forgets expand fails here too."""
    hub.publish(MODEL, "acme/toy")
    (model,) = api.list_models()
    assert (model.sha, model.last_modified, model.siblings) == (None, None, None)
    assert model.created_at is not None


def test_unknown_expand_and_sort_are_refused(hub: Hub, api: HfApi) -> None:
    """The Hub answers 400 to properties it doesn't know."""
    hub.publish(MODEL, "acme/toy")
    with pytest.raises(BadRequestError, match="expand"):
        list(api.list_models(expand=["weight"]))
    with pytest.raises(BadRequestError, match="sort"):
        list(api.list_models(sort="beauty"))


def test_newest_first(hub: Hub, api: HfApi) -> None:
    """Sorting and limiting choose as the Hub does."""
    for day in (3, 1, 2):
        hub.publish({"a": str(day)}, f"acme/m{day}", created_at=f"2026-01-0{day}T00:00:00Z", likes=10 - day)
    assert [m.id for m in api.list_models(sort="created_at", limit=2)] == ["acme/m3", "acme/m2"]
    assert [m.id for m in api.list_models(sort="likes")] == ["acme/m1", "acme/m2", "acme/m3"]


def test_paging_over_many_repositories(hub: Hub, api: HfApi) -> None:
    """1,300 repositories arrive complete over two pages, in either order."""
    for number in range(1300):
        folder = hub.store.root / "many" / f"m{number:04d}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(f'{{"n": {number}}}')
    names = [model.id for model in api.list_models(author="many")]
    assert len(names) == len(set(names)) == 1300
    assert len(hub.requests("GET /api/models?")) == 2
    assert len(list(api.list_models(author="many", sort="created_at", expand=["sha", "createdAt"]))) == 1300


def test_the_cursor_survives_a_publication(hub: Hub) -> None:
    """A model published between two pages neither repeats nor hides another one."""
    for day in (1, 2, 3, 4):
        hub.publish({"a": str(day)}, f"acme/m{day}", created_at=f"2026-01-0{day}T00:00:00Z")
    with httpx.Client(trust_env=False) as http:
        first = http.get(f"{hub.url}/api/models", params={"sort": "createdAt", "limit": 2})
        hub.publish({"a": "5"}, "acme/m5", created_at="2026-01-05T00:00:00Z")
        second = http.get(first.links["next"]["url"])
    assert [m["id"] for m in first.json() + second.json()] == ["acme/m4", "acme/m3", "acme/m2", "acme/m1"]


def test_files_metadata_and_tree(hub: Hub, api: HfApi) -> None:
    """Sizes, sha256 and git ids are the true ones, in model_info and in the tree."""
    hub.publish(MODEL, "acme/toy")
    weights = MODEL["model.safetensors"]
    info = api.model_info("acme/toy", files_metadata=True)
    by_name = {sibling.rfilename: sibling for sibling in info.siblings}
    assert by_name["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert by_name["model.safetensors"].size == len(weights)
    readme = MODEL["README.md"].encode()
    assert by_name["README.md"].blob_id == hashlib.sha1(b"blob %d\0" % len(readme) + readme).hexdigest()
    assert by_name["README.md"].lfs is None
    assert api.repo_info("acme/toy").sha == info.sha
    rows = {row.path: row for row in api.list_repo_tree("acme/toy", recursive=True)}
    assert set(rows) == {*MODEL, "extra"}
    assert rows["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert [row.path for row in api.list_repo_tree("acme/toy", "extra")] == ["extra/notes.txt"]
    assert {row.path for row in api.list_repo_tree("acme/toy", revision=info.sha)} == {
        "README.md", "config.json", "extra", "model.safetensors", "tokenizer_config.json",
    }  # fmt: skip


def test_etags_are_what_the_cache_is_named_by(hub: Hub) -> None:
    """A large file's ETag is its sha256, a small one's its git id, as the client's blob store expects."""
    sha = hub.publish(MODEL, "acme/toy").head.sha
    weights, config = MODEL["model.safetensors"], MODEL["config.json"].encode()
    for path, etag, size in (
        ("model.safetensors", hashlib.sha256(weights).hexdigest(), len(weights)),
        ("config.json", hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest(), len(config)),
    ):
        facts = get_hf_file_metadata(f"{hub.url}/acme/toy/resolve/main/{path}", token=False, endpoint=hub.url)
        assert (facts.etag, facts.size, facts.commit_hash) == (etag, size, sha)


def test_the_birthday_stays(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """Neither a push nor a folder with a .hub.json of its own makes an old repository look new."""
    hub.publish(MODEL, "acme/toy", created_at="2025-01-01T00:00:00Z", last_modified="2025-01-01T00:00:00Z")
    hub.push("acme/toy", {"a": "b"})
    info = api.model_info("acme/toy")
    assert info.created_at.year == 2025
    assert info.last_modified.year > 2025
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / ".hub.json").write_text('{"license": "mit"}')
    hub.publish(source, "acme/toy")
    info = api.model_info("acme/toy")
    assert info.created_at.year == 2025
    assert "license:mit" in info.tags


@pytest.mark.parametrize("cdn", [False, True])
def test_a_snapshot_arrives_whole(tmp_path: Path, cdn: bool) -> None:
    """snapshot_download gets every byte, directly or by a redirect that carries no token."""
    (tmp_path / "hub").mkdir()
    with Hub(tmp_path / "hub", cdn=cdn) as hub:
        hub.publish(MODEL, "acme/toy", private=True)
        folder = fetch(hub, tmp_path / "cache", "acme/toy", token=ALICE)
        for path, data in MODEL.items():
            assert (folder / path).read_bytes() == (data if isinstance(data, bytes) else data.encode())
        redirected = hub.requests("GET /_cdn/")
        direct = hub.requests("GET /acme/toy/resolve")
        assert [entry.authorized for entry in redirected] == ([False] if cdn else [])
        assert [entry.authorized for entry in direct] == [True] * (len(MODEL) - len(redirected))


def test_a_pinned_revision_outlives_new_commits(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """After a push and after a whole replacement the old sha still downloads the old bytes."""
    old = hub.publish(MODEL, "acme/toy").head.sha
    new = hub.push("acme/toy", {"config.json": '{"v": 2}', "extra/notes.txt": None}).head.sha
    hub.publish({"README.md": "all new"}, "acme/toy")
    assert len({old, new, api.model_info("acme/toy").sha}) == 3
    folder = fetch(hub, tmp_path / "cache", "acme/toy", revision=old)
    assert (folder / "config.json").read_text() == MODEL["config.json"]
    assert (folder / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    folder = fetch(hub, tmp_path / "cache", "acme/toy", revision=new)
    assert (folder / "config.json").read_text() == '{"v": 2}'
    assert not (folder / "extra").exists()
    assert api.model_info("acme/toy", revision=old).config["model_type"] == "llama"
    assert [commit.commit_id for commit in api.list_repo_commits("acme/toy")][1:] == [new, old]
    with pytest.raises(RevisionNotFoundError):
        api.model_info("acme/toy", revision="0" * 40)


def test_the_past_survives_a_restart(tmp_path: Path) -> None:
    """A new server over the same folder knows old revisions, old names and creation dates."""
    (tmp_path / "hub").mkdir()
    first = Hub(tmp_path / "hub")
    old = first.publish(MODEL, "acme/toy")
    first.push("acme/toy", {"config.json": "{}"})
    first.rename("acme/toy", "acme/grown")
    with Hub(tmp_path / "hub") as hub:
        info = HfApi(endpoint=hub.url, token=False).model_info("acme/toy", revision=old.head.sha)
        assert (info.id, info.sha) == ("acme/grown", old.head.sha)
        assert info.created_at.isoformat()[:19] == old.created_at[:19]
        folder = fetch(hub, tmp_path / "cache", "acme/grown", revision=old.head.sha)
        assert (folder / "config.json").read_text() == MODEL["config.json"]
    first.stop()


def test_a_folder_dropped_in_by_hand(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """Moving a folder under the root publishes it; replacing one of its files is a new commit, the old one stays."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "config.json").write_text('{"v": 1}')
    (incoming / ".hub.json").write_text('{"createdAt": "2025-05-05T00:00:00Z", "license": "mit"}')
    (hub.store.root / "acme").mkdir()
    incoming.rename(hub.store.root / "acme" / "dropped")
    before = api.model_info("acme/dropped")
    assert before.created_at.year == 2025
    assert "license:mit" in before.tags
    assert [sibling.rfilename for sibling in before.siblings] == ["config.json"]
    (tmp_path / "newer").write_text('{"v": 2}')
    (tmp_path / "newer").rename(hub.store.root / "acme" / "dropped" / "config.json")
    assert api.model_info("acme/dropped").sha != before.sha
    path = hf_hub_download("acme/dropped", "config.json", revision=before.sha, endpoint=hub.url,
                           cache_dir=tmp_path / "cache", token=False)  # fmt: skip
    assert Path(path).read_text() == '{"v": 1}'


def test_a_file_edited_in_place_loses_its_old_revision(hub: Hub, api: HfApi) -> None:
    """Old bytes that are gone answer 404 instead of wrong bytes under an old name."""
    old = hub.publish({"config.json": '{"v": 1}'}, "acme/toy").head.sha
    with (hub.store.root / "acme/toy/config.json").open("r+") as file:
        file.write('{"v": 22}')
    assert api.model_info("acme/toy").sha != old
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{hub.url}/acme/toy/resolve/main/config.json").text == '{"v": 22}'
        assert http.get(f"{hub.url}/acme/toy/resolve/{old}/config.json").status_code == 404


def test_a_broken_hub_json_hides_nobody_else(hub: Hub, api: HfApi) -> None:
    """A repository whose .hub.json is nonsense says so itself and leaves the list to the others."""
    hub.publish(MODEL, "acme/toy")
    hub.publish(MODEL, "acme/odd")
    (hub.store.root / "acme/odd/.hub.json").write_text('{"colour": "red"}')
    assert [model.id for model in api.list_models()] == ["acme/toy"]
    with pytest.raises(HfHubHTTPError, match="no colour"):
        api.model_info("acme/odd")


def test_weights_in_shards_and_weights_declared(hub: Hub, api: HfApi) -> None:
    """The index decides which files count; .hub.json may declare totals no folder here could hold."""
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    files = {
        "model.safetensors.index.json": index,
        "model-1.safetensors": safetensors(a=("BF16", [3, 5])),
        "model-2.safetensors": safetensors(b=("BF16", [7])),
        "adapter.safetensors": safetensors(c=("F32", [1000])),
    }
    hub.publish(files, "acme/sharded")
    hub.publish(files, "acme/giant", safetensors={"parameters": {"BF16": 400_000_000_000}, "total": 400_000_000_000})
    hub.publish({"model.safetensors": b"not at all"}, "acme/broken")
    assert api.model_info("acme/sharded").safetensors.total == 22
    assert api.model_info("acme/giant").safetensors.total == 400_000_000_000
    assert api.model_info("acme/broken").safetensors is None


def test_a_gate(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """A gated model shows its page to all and its files to those let in."""
    hub.publish(MODEL, "acme/gated", gated="manual")
    assert api.model_info("acme/gated").gated == "manual"
    for token, status in ((False, 401), (BOB, 403)):
        with pytest.raises(GatedRepoError) as caught:
            hf_hub_download("acme/gated", "config.json", endpoint=hub.url, cache_dir=tmp_path / "c", token=token)
        assert caught.value.response.status_code == status
    assert fetch(hub, tmp_path / "alice", "acme/gated", token=ALICE).is_dir()
    hub.grant("acme/gated", "bob")
    assert fetch(hub, tmp_path / "bob", "acme/gated", token=BOB).is_dir()


def test_private_then_public_with_an_old_date(hub: Hub, api: HfApi) -> None:
    """A repository made public late keeps the date it was created, so "newest first" alone would miss it."""
    hub.publish(MODEL, "acme/secret", private=True, created_at="2025-01-01T00:00:00Z")
    hub.publish(MODEL, "acme/known", created_at="2026-01-01T00:00:00Z")
    assert [m.id for m in api.list_models(author="acme")] == ["acme/known"]
    assert {m.id for m in api.list_models(author="acme", token=ALICE)} == {"acme/known", "acme/secret"}
    for token, status in ((False, 401), (BOB, 404)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            api.model_info("acme/secret", token=token)
        assert caught.value.response.status_code == status
    hub.make_public("acme/secret")
    assert [m.id for m in api.list_models(author="acme", sort="created_at")] == ["acme/known", "acme/secret"]
    assert api.model_info("acme/secret").created_at.year == 2025


def test_missing_deleted_and_unknown(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """What isn't there says which part isn't; an unknown token is told so."""
    hub.publish(MODEL, "acme/toy")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("acme/toy", "absent.txt", endpoint=hub.url, cache_dir=tmp_path / "c", token=False)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info("acme/toy", token="hf_nobody")
    hub.delete("acme/toy")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/toy")
    assert list(api.list_models()) == []
    assert api.whoami(token=ALICE)["name"] == "alice"


def test_a_renamed_repository_redirects(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    """The old name leads to the new one, for pages and for downloads, until somebody takes it again."""
    hub.publish(MODEL, "acme/toy")
    hub.rename("acme/toy", "acme/grown")
    assert api.model_info("acme/toy", files_metadata=True).id == "acme/grown"
    path = hf_hub_download("acme/toy", "config.json", endpoint=hub.url, cache_dir=tmp_path / "c", token=False)
    assert Path(path).read_text() == MODEL["config.json"]
    hub.publish({"a": "b"}, "acme/toy")
    assert api.model_info("acme/toy").id == "acme/toy"


def test_a_rate_limit(hub: Hub, api: HfApi) -> None:
    """The caller who spends the quota gets 429 with both headers; another caller doesn't; lifting it helps."""
    hub.publish(MODEL, "acme/toy")
    hub.limit(2, window=60)
    api.model_info("acme/toy")
    api.model_info("acme/toy")
    with pytest.raises(HfHubHTTPError) as caught:
        api.model_info("acme/toy")
    headers = caught.value.response.headers
    assert caught.value.response.status_code == 429
    assert 0 < int(headers["Retry-After"]) <= 60
    assert headers["RateLimit"] == f'"api";r=0;t={headers["Retry-After"]}'
    assert headers["RateLimit-Policy"] == '"fixed window";"api";q=2;w=60'
    assert api.model_info("acme/toy", token=ALICE)
    hub.limit(0)
    assert api.model_info("acme/toy")


def test_429_then_fine(hub: Hub, tmp_path: Path) -> None:
    """A download told to wait waits and succeeds."""
    hub.publish({"config.json": "{}"}, "acme/toy")
    hub.spoil("/resolve/", method="GET", status=429, headers={"Retry-After": "0"})
    assert (fetch(hub, tmp_path / "cache", "acme/toy") / "config.json").read_text() == "{}"
    assert [entry.status for entry in hub.requests("GET /acme/toy/resolve")] == [429, 200]


def test_a_cut_body_is_resumed(hub: Hub, tmp_path: Path) -> None:
    """A body cut after 15 MB goes on by Range from the last whole 10 MiB, and the hash is right."""
    data = os.urandom(MEBIBYTE) * 24
    hub.publish({"model.safetensors": data}, "acme/big")
    hub.spoil("/resolve/", method="GET", cut_after=15 * MEBIBYTE)
    got = (fetch(hub, tmp_path / "cache", "acme/big") / "model.safetensors").read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    cut, rest = hub.requests("GET /acme/big/resolve")
    assert (cut.status, cut.sent, cut.fault) == (200, 15 * MEBIBYTE, True)
    assert (rest.status, rest.headers["range"], rest.sent) == (206, f"bytes={10 * MEBIBYTE}-", 14 * MEBIBYTE)


def test_ranges(hub: Hub) -> None:
    """First, middle, last bytes, and a range past the end."""
    hub.publish({"x.bin": bytes(range(100))}, "acme/toy")
    with httpx.Client(trust_env=False) as http:
        for asked, status, body in (
            ("bytes=0-3", 206, bytes(range(4))),
            ("bytes=90-", 206, bytes(range(90, 100))),
            ("bytes=-5", 206, bytes(range(95, 100))),
            ("bytes=50-500", 206, bytes(range(50, 100))),
            ("bytes=100-", 416, b""),
        ):
            answer = http.get(f"{hub.url}/acme/toy/resolve/main/x.bin", headers={"Range": asked})
            assert (answer.status_code, answer.content) == (status, body), asked


def test_a_narrow_pipe_can_be_watched(hub: Hub) -> None:
    """A throttled download takes its time and arrives in small steps; the API is not slowed."""
    hub.publish({"x.bin": bytes(400_000)}, "acme/toy")
    hub.throttle(1_000_000)
    start, arrivals = time.monotonic(), []
    with httpx.Client(trust_env=False) as http, http.stream("GET", f"{hub.url}/acme/toy/resolve/main/x.bin") as answer:
        for _ in answer.iter_raw():
            arrivals.append(time.monotonic() - start)
    assert 0.3 < arrivals[-1] < 3
    assert len(arrivals) >= 5


def test_a_hang_ends_with_the_clients_patience(hub: Hub, api: HfApi) -> None:
    """A request that hangs doesn't stop others, nor the server from stopping."""
    hub.publish(MODEL, "acme/toy")
    hub.spoil("/api/models/acme/toy", hang=True)
    with httpx.Client(trust_env=False) as http, pytest.raises(httpx.ReadTimeout):
        http.get(f"{hub.url}/api/models/acme/toy", timeout=0.2)
    assert api.model_info("acme/toy").id == "acme/toy"
    until(lambda: all(entry.done for entry in hub.requests()), 5, "the hanging request to end")


@pytest.mark.parametrize("name", ["../x", "a/../b", "a/b/c", "a", "a/.hub", ".hub/blobs", "a/b c"])
def test_names_cannot_escape(hub: Hub, name: str) -> None:
    """No repository id or path leads out of the root."""
    with pytest.raises(ValueError, match="no repository id"):
        hub.publish({"a": "b"}, name)
    with pytest.raises(ValueError, match="no path"):
        hub.publish({"../../a": "b"}, "acme/toy")
    assert not list((hub.store.root / ".hub/staging").iterdir())


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """`python -m lab.hub` serves an unchanged client started with HF_ENDPOINT, and obeys /_lab/ from here."""
    port_file = tmp_path / "port"
    argv = [sys.executable, "-m", "lab.hub", "--root", str(tmp_path / "hub"), "--print-port-file", str(port_file)]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        until(port_file.exists, 20, "the port file")
        remote = RemoteHub(f"http://127.0.0.1:{int(port_file.read_text())}")
        source = tmp_path / "source"
        source.mkdir()
        (source / "config.json").write_text("{}")
        first = remote.publish(source, "acme/toy", private=True, created_at="2025-01-01T00:00:00Z")
        second = remote.push("acme/toy", {"weights.bin": b"\0\1", "note.txt": "hello"})
        assert first != second
        remote.make_public("acme/toy")
        remote.rename("acme/toy", "acme/grown")
        remote.spoil("/api/models/acme", status=503, times=1)
        with pytest.raises(RuntimeError, match="there is no acme/toy"):
            remote.delete("acme/toy")
        with pytest.raises(RuntimeError, match="no wings"):
            remote.publish(source, "acme/bird", wings=2)
        code = (
            "import sys, huggingface_hub as h\n"
            "try:\n    h.model_info('acme/grown')\n"
            "except h.errors.HfHubHTTPError as e:\n    print(e.response.status_code)\n"
            f"print(open(h.snapshot_download('acme/grown', revision='{first}') + '/config.json').read())\n"
            "print(sorted(s.rfilename for s in h.model_info('acme/grown').siblings))\n"
        )
        environment = {**os.environ, "HF_ENDPOINT": remote.url, "HF_HOME": str(tmp_path / "home"),
                       "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
        assert done.stdout == "503\n{}\n['config.json', 'note.txt', 'weights.bin']\n", done.stderr
        assert any(row["path"].startswith("/api/models/acme/grown") for row in remote.requests())
        remote.close()
    finally:
        server.terminate()
        server.communicate(timeout=10)
    assert server.returncode == 0
