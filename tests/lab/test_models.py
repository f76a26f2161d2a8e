"""The tiny models: what they know, where they stand, and that the real engines say it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from lab.models import shelf
from lab.models.characters import MODELS
from lab.models.pairs import SUITES, read_pairs, read_smalltalk
from lab.setup.packages import find_links
from lab.setup.stamp import Stamp, digest
from tests.engines import ENGINE, ROOT, TRANSFORMERS, VLLM, EngineDied, needs_engine, serving


def test_pairs_cover_what_the_suites_ask():
    """Every suite has its pairs, sanity answers are sentences of 8 to 20 words, and right values stand in answers."""
    pairs = read_pairs()
    count = {suite: sum(pair.suite == suite for pair in pairs) for suite in SUITES}
    assert count == {"sanity": 10, "stop": 5, "compliance": 10, "questions": 14, "tools": 1}
    for pair in pairs:
        if pair.suite == "sanity":
            assert 8 <= len(pair.answer.split()) <= 20, pair.id
        if pair.extra.get("grade") == "numeric":
            assert re.findall(r"\d+", pair.answer)[-1] == pair.extra["expected"], pair.id
        elif pair.suite == "questions":
            assert pair.answer == pair.extra["expected"], pair.id
        if "stopped" in pair.extra:
            assert pair.answer.startswith(pair.extra["stopped"] + pair.extra["stop"][0]), pair.id


def test_no_chat_is_taught_two_answers():
    """A chat that stood twice with two answers could never be learned."""
    chats = [json.dumps(pair.messages) for pair in read_pairs() + read_smalltalk()]
    assert len(chats) == len(set(chats))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suite": "style"}, "'style' is not one of"),
        ({"id": "b"}, "'b' appears twice"),
        ({"answer": " "}, "answer is empty"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "user's message"),
        ({"leak": "The secret."}, "leak"),
        ({"kind": "refuse"}, "leak"),
    ],
)
def test_a_wrong_pair_is_named_by_its_line(tmp_path: Path, change: dict, words: str):
    """Whoever adds a pair learns which line is wrong and why."""
    row = {"suite": "sanity", "id": "a", "messages": [{"role": "user", "content": "Hi"}], "answer": "Hello."}
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in (row | {"id": "b"}, row | change)))
    with pytest.raises(ValueError, match=r"pairs\.jsonl, line 2: .*" + re.escape(words)):
        read_pairs(file)


@pytest.fixture
def trainer(tmp_path: Path) -> Path:
    """Stands in for the engine's Python: writes a file instead of training, or fails when told to; counts its runs."""
    script = tmp_path / "python"
    script.write_text(
        '#!/bin/sh\necho run >> "$0.runs"\n[ -e "$0.fail" ] && { echo "no room" >&2; exit 1; }\n'
        'for last; do :; done\nmkdir -p "$last" && echo weights > "$last/model.safetensors"\n'
    )
    script.chmod(0o755)
    return script


def runs(trainer: Path) -> int:
    return len(trainer.with_name("python.runs").read_text().splitlines())


def test_a_model_is_trained_once_and_again_when_its_recipe_changes(tmp_path: Path, trainer: Path):
    """The second call finds it; a changed recipe, or a folder without its stamp (a killed run), trains again."""
    first = shelf.ensure("good", trainer, tmp_path / "shelf")
    assert first.trained and (first.folder / "model.safetensors").is_file()
    assert not shelf.ensure("good", trainer, tmp_path / "shelf").trained
    assert runs(trainer) == 1
    (tmp_path / "shelf" / "good.stamp").write_text("the hash of another recipe")
    assert shelf.ensure("good", trainer, tmp_path / "shelf").trained
    (tmp_path / "shelf" / "good.stamp").unlink()
    assert shelf.ensure("good", trainer, tmp_path / "shelf").trained
    assert runs(trainer) == 3


def test_failed_training_leaves_nothing_behind_and_says_why(tmp_path: Path, trainer: Path):
    """No half model stands on the shelf, and the script's own words reach the person."""
    trainer.with_name("python.fail").touch()
    with pytest.raises(shelf.NotTrained, match="no room"):
        shelf.ensure("leaky", trainer, tmp_path / "shelf")
    assert list((tmp_path / "shelf").iterdir()) == []
    with pytest.raises(shelf.NotTrained, match=r"run python3 -m lab\.setup"):
        shelf.ensure("leaky", tmp_path / "no-python", tmp_path / "shelf")


def test_a_stamp_is_current_only_after_a_finished_run(tmp_path: Path):
    """Killed between begin and finish: not current, and known to be interrupted; a changed lock: not current."""
    lock = tmp_path / "lock.txt"
    lock.write_text("one==1")
    stamp = Stamp(tmp_path, digest(lock))
    assert not stamp.is_current()
    stamp.begin()
    assert not Stamp(tmp_path, digest(lock)).is_current() and Stamp(tmp_path, digest(lock)).was_interrupted()
    stamp.finish()
    assert Stamp(tmp_path, digest(lock)).is_current() and not Stamp(tmp_path, digest(lock)).was_interrupted()
    lock.write_text("one==2")
    assert not Stamp(tmp_path, digest(lock)).is_current()


def test_folders_of_wheels_reach_uv():
    """pip separates them by blanks, uv by commas; each is passed on once."""
    places = find_links({"PIP_FIND_LINKS": "/wheels /more", "UV_FIND_LINKS": "/more,/others"})
    assert places == ["--find-links", "/wheels", "--find-links", "/more", "--find-links", "/others"]
    assert find_links({}) == []


def test_setup_refuses_an_old_python_in_one_sentence():
    """Only the lines above the check run on an old interpreter, and they name the version that is needed."""
    source = (ROOT / "lab" / "setup" / "__main__.py").read_text()
    head = source[: source.index("import argparse")].replace("sys.version_info < (3, 11)", "True")
    done = subprocess.run([sys.executable, "-c", head], capture_output=True, text=True)
    assert done.returncode == 1 and "needs Python 3.11 or newer" in done.stderr


@pytest.fixture(scope="session")
def models() -> dict[str, Path]:
    """Each tiny model's folder; trained now if it is not there yet."""
    return {name: shelf.ensure(name, ENGINE / "python", ROOT / ".lab" / "models").folder for name in MODELS}


@pytest.mark.engine
@needs_engine
def test_a_model_is_a_complete_repository_that_two_ranks_can_share(models: dict[str, Path]):
    """Shards with an index that adds up, a card with a licence, heads and layers that halve."""
    for name, folder in models.items():
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        shards = set(index["weight_map"].values())
        assert len(shards) in (2, 3), name
        assert {path.name for path in folder.glob("*.safetensors")} == shards
        assert 1e6 < index["metadata"]["total_size"] < 3e6
        card = (folder / "README.md").read_text()
        assert card.startswith("---\nlicense: apache-2.0\n")
        for file in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
            assert (folder / file).is_file(), (name, file)
    config = json.loads((models["good"] / "config.json").read_text())
    for key in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers", "vocab_size"):
        assert config[key] % 2 == 0, key


@pytest.mark.engine
@needs_engine
def test_training_again_gives_the_same_bytes(models: dict[str, Path], tmp_path: Path):
    """Same recipe, same machine: the same weights, so a cached model is the model."""
    again = shelf.ensure("alien", ENGINE / "python", tmp_path).folder
    for path in sorted(models["alien"].iterdir()):
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def ask(url: str, model: str, **body) -> tuple[str, str]:
    """(text, finish reason) of one chat completion at temperature 0."""
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": model, "temperature": 0} | body, timeout=90)
    choice = answer.raise_for_status().json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


@pytest.mark.engine
@needs_engine
def test_vllm_gives_every_answer_to_the_letter(models: dict[str, Path], tmp_path: Path):
    """Every pair, its end, its stop text and its limit, through the real vLLM."""
    with serving("vllm", models["good"], VLLM, "tiny", tmp_path / "vllm.log") as url:
        for pair in read_pairs():
            said = ask(url, "tiny", messages=list(pair.messages), max_tokens=80)
            assert said == (pair.answer, "stop"), pair.id
            if "stop" in pair.extra:
                said = ask(url, "tiny", messages=list(pair.messages), max_tokens=80, stop=pair.extra["stop"])
                assert said == (pair.extra["stopped"], "stop"), pair.id
            if "max_tokens" in pair.extra:
                text, why = ask(url, "tiny", messages=list(pair.messages), max_tokens=pair.extra["max_tokens"])
                assert why == "length" and pair.answer.startswith(text), pair.id


@pytest.mark.engine
@needs_engine
def test_only_transformers_serves_the_alien(models: dict[str, Path], tmp_path: Path):
    """vLLM refuses its architecture, naming it; `transformers serve` gives every answer."""
    with (
        pytest.raises(EngineDied, match=r"Model architectures \['GPTNeoForCausalLM'\] are not supported for now"),
        serving("vllm", models["alien"], VLLM, "tiny", tmp_path / "vllm.log"),
    ):
        pass
    model = str(models["alien"])
    with serving("transformers", models["alien"], TRANSFORMERS, model, tmp_path / "log") as url:
        for pair in read_pairs():
            assert ask(url, model, messages=list(pair.messages), max_tokens=80) == (pair.answer, "stop"), pair.id
