"""HubReader against the lab's Hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch.hub import SMALL_FILE, HubReader, parse_reference
from lab.hub.server import Hub
from lifecycle.errors import HubUnavailable, NoWeights, Permanent, Refused, UnknownModel
from lifecycle.models import ModelFacts
from lifecycle.sections.watching import Hub as HubSettings
from tests.batch.hub_lab import CONFIG, noise, toy

REPO = "acme/toy-llama"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        yield hub


def reader(hub: Hub, token: str | None = None) -> HubReader:
    return HubReader(HubSettings(endpoint=hub.url, token=SecretStr(token) if token else None))


def test_facts(hub: Hub) -> None:
    """Everything the planner and the card need, at the newest commit, without one byte of weights; it survives JSON."""
    commit = hub.publish(toy(), REPO, pipeline_tag="text-generation").head
    facts = reader(hub).facts(REPO)
    assert (facts.repo, facts.revision) == (REPO, commit.sha)
    assert (facts.architecture, facts.model_type, facts.dtype, facts.context) == (
        "LlamaForCausalLM", "llama", "bfloat16", 512,
    )  # fmt: skip
    assert facts.weights_bytes == 100_000
    assert facts.license == "apache-2.0"
    assert facts.pipeline_tag == "text-generation"
    assert facts.complete and facts.has_safetensors and not facts.has_pickle and not facts.gated
    sizes = {f.path: f for f in facts.files}
    assert sizes["model.safetensors"].sha256 and sizes["config.json"].blob_id
    assert facts.config == CONFIG
    assert facts.created_at and facts.modified_at
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    assert not hub.requests("model.safetensors")


def test_an_older_commit(hub: Hub) -> None:
    """A pinned revision is read at that revision, config too."""
    old = hub.publish(toy(), REPO).head.sha
    hub.push(REPO, {"config.json": json.dumps({**CONFIG, "max_position_embeddings": 1024})})
    assert reader(hub).facts(REPO).context == 1024
    assert reader(hub).facts(REPO, old).context == 512


def test_misspelt(hub: Hub) -> None:
    """A wrong name is answered with the nearest right one of that organization."""
    hub.publish(toy(), REPO)
    with pytest.raises(UnknownModel) as caught:
        reader(hub).facts("acme/toy-lama")
    assert REPO in caught.value.next_step and "acme/toy-lama" in str(caught.value)


def test_unknown_revision(hub: Hub) -> None:
    """A revision that isn't there is named."""
    hub.publish(toy(), REPO)
    with pytest.raises(UnknownModel, match="no-such-branch"):
        reader(hub).facts(REPO, "no-such-branch")


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"README.md": "# nothing"}, "empty"),
        ({"model-Q4.gguf": noise(100)}, "GGUF"),
        ({"adapter_config.json": "{}", "adapter_model.safetensors": noise(100)}, "adapter"),
        ({"ckpt-0/tensor00000_000": noise(100)}, "JAX"),
        ({"model_index.json": "{}", "unet/model.safetensors": noise(10)}, "diffusion"),
        ({"flax_model.msgpack": noise(10), "config.json": "{}"}, "other frameworks"),
        ({"config.json": json.dumps(CONFIG)}, "no weights (yet)"),
        ({"notes.txt": "x"}, "no weights"),
    ],
)
def test_nothing_to_serve(hub: Hub, files: dict, word: str) -> None:
    """Each kind of repository without weights gets its own sentence and a next step."""
    hub.publish(files, REPO)
    with pytest.raises(NoWeights) as caught:
        reader(hub).facts(REPO)
    assert word in str(caught.value) and caught.value.next_step


def test_still_uploading(hub: Hub) -> None:
    """What the index names and the repository lacks is missing; once it is there, the facts are complete."""
    files = toy()
    del files["model.safetensors"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}})
    hub.publish({**files, shards[0]: noise(500, 1), "model.safetensors.index.json": index}, REPO)
    facts = reader(hub).facts(REPO)
    assert not facts.complete and facts.missing == (shards[1],)
    hub.push(REPO, {shards[1]: noise(400, 2)})
    facts = reader(hub).facts(REPO)
    assert facts.complete and facts.weights_bytes == 900


def test_shards_without_index_yet(hub: Hub) -> None:
    """The numbers in the file names tell what is missing before the index is there."""
    files = toy()
    del files["model.safetensors"]
    hub.publish({**files, "model-00001-of-00003.safetensors": noise(500)}, REPO)
    facts = reader(hub).facts(REPO)
    assert facts.missing == (
        "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json",
    )  # fmt: skip


def test_gated(hub: Hub) -> None:
    """Gated and not admitted: who must accept, and where. Admitted: facts that say it is gated."""
    hub.publish(toy(), REPO, gated="manual")
    with pytest.raises(Refused) as caught:
        reader(hub, "hf_lab_bob").facts(REPO)
    assert f"{hub.url}/{REPO}" in caught.value.next_step
    assert reader(hub, "hf_lab_alice").facts(REPO).gated


def test_bad_token(hub: Hub) -> None:
    """A token that the Hub doesn't know is a matter for a person, and isn't shown."""
    hub.publish(toy(), REPO)
    with pytest.raises(Permanent) as caught:
        reader(hub, "hf_secret").facts(REPO)
    assert "HF_TOKEN" in caught.value.next_step and "hf_secret" not in caught.value.advice


@pytest.mark.parametrize("where", ["/api/models/", "/resolve/"])
def test_asked_to_slow_down(hub: Hub, where: str) -> None:
    """429 is for later, with the time that the Hub names."""
    hub.publish(toy(), REPO)
    hub.spoil(where, status=429, times=5, headers={"Retry-After": "17"})
    with pytest.raises(HubUnavailable) as caught:
        reader(hub).facts(REPO)
    assert caught.value.retry_after_s == 17 and caught.value.retryable


def test_rate_limit_header(hub: Hub) -> None:
    """The Hub's newer RateLimit header is understood as well."""
    hub.publish(toy(), REPO)
    hub.spoil("/api/", status=429, times=5, headers={"RateLimit": '"api";r=0;t=55'})
    with pytest.raises(HubUnavailable) as caught:
        reader(hub).facts(REPO)
    assert caught.value.retry_after_s == 55


def test_no_hub(hub: Hub) -> None:
    """A Hub that is down, or has an error, is for later."""
    hub.publish(toy(), REPO)
    hub.spoil("/api/", status=502, times=5)
    with pytest.raises(HubUnavailable):
        reader(hub).facts(REPO)
    hub.stop()
    with pytest.raises(HubUnavailable, match="doesn't answer"):
        reader(hub).facts(REPO)


def test_pickle_and_remote_code(hub: Hub) -> None:
    """Pickles and code of its own are noticed; weights that are only pickles count, and are known to be that."""
    config = json.dumps({**CONFIG, "auto_map": {"AutoModel": "modeling.Toy"}})
    files = {**toy(), "config.json": config, "modeling.py": "x = 1"}
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    hub.publish(files, REPO)
    facts = reader(hub).facts(REPO)
    assert facts.has_pickle and not facts.has_safetensors and facts.needs_remote_code
    assert facts.weights_bytes == 100_000


def test_quantization_beside_the_config(hub: Hub) -> None:
    """hf_quant_config.json speaks when config.json is silent."""
    hub.publish({**toy(), "hf_quant_config.json": json.dumps({"quantization": {"quant_algo": "NVFP4"}})}, REPO)
    facts = reader(hub).facts(REPO)
    assert (facts.quantization, facts.dtype) == ("nvfp4", "nvfp4")


def test_infinity_in_the_config(hub: Hub) -> None:
    """JSON with Infinity (it exists) is read, and the facts are plain JSON all the same."""
    hub.publish({**toy(), "config.json": '{"hidden_size": 8, "limit": Infinity}'}, REPO)
    assert json.dumps(reader(hub).facts(REPO).to_dict(), allow_nan=False)


def test_config_that_is_no_config(hub: Hub) -> None:
    """Broken JSON, and a config of many megabytes, are refused rather than swallowed."""
    hub.publish({**toy(), "config.json": "{"}, REPO)
    with pytest.raises(NoWeights, match="not JSON"):
        reader(hub).facts(REPO)
    hub.push(REPO, {"config.json": '"' + "x" * (SMALL_FILE + 10) + '"'})
    with pytest.raises(NoWeights, match="larger than"):
        reader(hub).facts(REPO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme/toy", ("acme/toy", None)),
        (" acme/toy@v1.0 ", ("acme/toy", "v1.0")),
        ("https://huggingface.co/acme/toy", ("acme/toy", None)),
        ("https://huggingface.co/acme/toy/tree/main", ("acme/toy", "main")),
        ("https://huggingface.co/acme/toy/tree/refs/pr/7?x=1#top", ("acme/toy", "refs/pr/7")),
        ("<https://huggingface.co/acme/toy/blob/abc/config.json|toy>", ("acme/toy", "abc")),
    ],
)
def test_references(text: str, expected: tuple) -> None:
    """The forms in which people name a model, Slack's links among them."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text", ["", "toy", "a/b/c", "../toy", "acme/..", "acme/to y", "https://huggingface.co/", "a/$(id)"]
)
def test_no_references(text: str) -> None:
    """What can't be a model's name is refused before anybody is asked."""
    with pytest.raises(UnknownModel):
        parse_reference(text)
