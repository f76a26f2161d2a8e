"""Proprietary models through the LiteLLM Router, and the file that lists them."""

import os

import httpx
import openai
import pytest

from tests.gateway.conftest import World
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]

ENTRY = """
[[models]]
name = "{name}"
litellm_model = "openai/judge"
api_base = "{base}/v1"
key_env = "LAB_KEY"
tags = ["stable"]
input_price = 1000
output_price = 2000
"""


def write(world: World, text: str) -> None:
    """Replaced as an editor does it."""
    aside = world.folder / "providers.new"
    aside.write_text(text)
    os.replace(aside, world.folder / "providers.toml")


def names(world: World) -> set[str]:
    return {model.id for model in world.client().models.list()}


def test_a_provider_is_called_with_its_own_key_and_priced(world: World) -> None:
    """The answer under our name, the provider's key sent and not the caller's, the cost from the file."""
    backend = world.backend("judge")
    write(world, ENTRY.format(name="judge-1", base=backend.url))
    until(lambda: "judge-1" in names(world), 5, "the provider's model to be listed")
    client = world.client()
    answer = client.chat.completions.create(model="judge-1", messages=ASK)
    assert (answer.model, answer.choices[0].message.content) == ("judge-1", "Brno is in Moravia.")
    stream = list(client.chat.completions.create(model="judge-1", messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == "Brno is in Moravia."
    assert {c.model for c in stream} == {"judge-1"} and all(c.usage is None for c in stream)
    assert client.completions.create(model="judge-1", prompt="Brno").choices[0].text == "Brno is in Moravia."
    assert {h["Authorization"] for h in backend.headers} == {"Bearer sk-lab-secret"}
    rows = world.rows("judge-1")
    assert len(rows) == 3
    for row in rows:
        assert (row["provider"], row["prompt_tokens"], row["completion_tokens"]) == ("openai", 7, 5)
        assert row["cost"] == pytest.approx((7 * 1000 + 5 * 2000) / 1e6) and row["cost_estimated"] == 0


def test_a_caller_cannot_send_the_providers_key_elsewhere(world: World) -> None:
    """litellm's own parameters (api_base, api_key, mock_response) in a request have no effect."""
    backend, thief = world.backend("judge"), world.backend("judge")
    write(world, ENTRY.format(name="judge-2", base=backend.url))
    until(lambda: "judge-2" in names(world), 5, "the provider's model to be listed")
    extra = {"api_base": f"{thief.url}/v1", "base_url": f"{thief.url}/v1", "api_key": "x", "mock_response": "mine"}
    answer = world.client().chat.completions.create(model="judge-2", messages=ASK, extra_body=extra)
    assert answer.choices[0].message.content == "Brno is in Moravia."
    assert len(backend.seen) == 1 and thief.seen == []


def test_a_wrong_edit_keeps_the_old_models(world: World) -> None:
    """A broken file changes nothing, its reason stands on the status page; mending it takes effect at once."""
    backend = world.backend("judge")
    write(world, ENTRY.format(name="judge-3", base=backend.url))
    until(lambda: "judge-3" in names(world), 5, "the provider's model to be listed")
    for wrong, reason in [
        ("[[models]\n", "TOML"),
        (ENTRY.format(name="judge-4", base=backend.url) + 'pirce = 3\n', "pirce"),
        (ENTRY.format(name="judge-4", base=backend.url).replace("LAB_KEY", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
        (ENTRY.format(name="judge-4", base=backend.url) * 2, "twice"),
        (ENTRY.format(name="stable", base=backend.url), "name of a tag"),
    ]:
        write(world, wrong)
        until(lambda: reason in httpx.get(world.gateway.url).text, 5, f"the page to say {reason}")  # noqa: B023
        assert "judge-3" in names(world) and "judge-4" not in names(world)
    write(world, ENTRY.format(name="judge-4", base=backend.url))
    until(lambda: names(world) >= {"judge-4"}, 5, "the mended file")
    assert "judge-3" not in names(world) and "name of a tag" not in httpx.get(world.gateway.url).text


def test_a_key_in_a_file_is_rotated_without_a_restart(world: World) -> None:
    """The new key is sent at once; an emptied file keeps the old one, says why, and names no key."""
    backend, secret = world.backend("judge"), world.folder / "judge.key"

    def rotate(text: str) -> None:
        aside = world.folder / "judge.key.new"
        aside.write_text(text)
        os.replace(aside, secret)

    def sent() -> str:
        world.client().chat.completions.create(model="judge-7", messages=ASK)
        return backend.headers[-1]["Authorization"]

    rotate("sk-first\n")
    entry = ENTRY.format(name="judge-7", base=backend.url).replace('key_env = "LAB_KEY"', 'key_file = "judge.key"')
    write(world, entry)
    until(lambda: "judge-7" in names(world), 30, "the provider's model to be listed")
    assert sent() == "Bearer sk-first"
    rotate("sk-second\n")
    until(lambda: sent() == "Bearer sk-second", 30, "the new key")
    rotate("")
    until(lambda: "holds no key" in str(world.gateway.said("providers.refused")), 30, "the reason")
    assert sent() == "Bearer sk-second"
    rotate("sk-third\n")
    until(lambda: sent() == "Bearer sk-third", 30, "the mended file")
    assert "sk-first" not in str(world.gateway.lines) and "sk-third" not in str(world.gateway.lines)


def test_provider_trouble_is_translated(world: World) -> None:
    """A provider that fails: 502 and a sentence without the provider's key in it; a row with 502."""
    backend = world.backend("judge", mode="crash")
    write(world, ENTRY.format(name="judge-5", base=backend.url))
    until(lambda: "judge-5" in names(world), 5, "the provider's model to be listed")
    with pytest.raises(openai.InternalServerError) as caught:
        world.client().chat.completions.create(model="judge-5", messages=ASK)
    assert caught.value.status_code == 502
    assert [row["status"] for row in world.rows("judge-5")] == [502]
    assert "sk-lab-secret" not in str(world.gateway.lines)


def test_a_provider_that_hangs_up_in_a_stream(world: World) -> None:
    """The error stands in the stream, and the row says 502."""
    backend = world.backend("judge", mode="cut")
    write(world, ENTRY.format(name="judge-6", base=backend.url))
    until(lambda: "judge-6" in names(world), 5, "the provider's model to be listed")
    with pytest.raises(openai.APIError):
        list(world.client().chat.completions.create(model="judge-6", messages=ASK, stream=True))
    assert [row["status"] for row in world.rows("judge-6")] == [502]
