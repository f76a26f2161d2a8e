"""What callers ask to reach what is not theirs: hosts behind the gateway, numbers without end, lines in its log."""

import json
import os
import socket

import httpx
import pytest

from gateway import keys
from gateway.auth.limits import Limits
from gateway.store import open_store
from tests.gateway.apis import AnthropicApi
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
def test_a_picture_behind_the_gateway_is_not_fetched(world: World, host: str) -> None:
    """Its address goes to the provider or is refused; the gateway knocks at no door of its own network."""
    api = AnthropicApi().start()
    try:
        aside = world.folder / "providers.new"
        aside.write_text(
            f'[[models]]\nname = "claude"\nlitellm_model = "anthropic/claude-sonnet-4-5"\napi_base = "{api.url}"\n'
            'key_env = "LAB_KEY"\ntags = ["stable"]\ninput_price = 1\noutput_price = 2\n'
        )
        taken = len(world.gateway.said("providers.taken"))
        os.replace(aside, world.folder / "providers.toml")
        until(lambda: len(world.gateway.said("providers.taken")) > taken, 30, "the provider")
        with socket.create_server(("127.0.0.1", 0)) as inside:
            inside.settimeout(0.2)
            picture = {"type": "image_url", "image_url": {"url": f"http://{host}:{inside.getsockname()[1]}/secret.png"}}
            head = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
            body = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": [picture]}]}
            answer = httpx.post(f"{world.gateway.url}/v1/chat/completions", json=body, headers=head, timeout=30)
            assert answer.status_code in (200, 400, 502)
            with pytest.raises(TimeoutError):
                inside.accept()
    finally:
        api.stop()


@pytest.mark.parametrize("number", [10**30, 2**63, 2**31 - 1, -1, 1e308, True, "9"])
def test_numbers_without_end_are_no_crash(world: World, number: object) -> None:
    """`max_tokens` and `n` of any size, under limits of tokens: an answer or a refusal, and limits that still count."""
    backend = world.backend("/w")
    model = world.model(backend)
    db = open_store(world.settings.gateway_path)
    limits = Limits(tokens_per_minute=10**12, tokens_per_day=10**12)
    head = {"authorization": f"Bearer {keys.issue(db, 'greedy', ['stable'], limits=limits)}"}
    db.close()
    url = f"{world.gateway.url}/v1/chat/completions"
    for more in ({"max_tokens": number}, {"n": number}, {"max_tokens": number, "n": number}):
        text = json.dumps({"model": model, "messages": ASK, **more})
        assert httpx.post(url, content=text, headers=head, timeout=30).status_code in (200, 400, 429)
    assert httpx.post(url, json={"model": model, "messages": ASK}, headers=head, timeout=30).status_code == 200


def test_a_models_name_makes_no_line_of_its_own_in_the_log(world: World) -> None:
    """Line ends, escapes and quotes stay inside one JSON line."""
    head = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
    name = 'x"}\n{"event": "forged", "key": "dz-1"}\r\n\x1b[2J'
    body = {"model": name, "messages": ASK}
    answer = httpx.post(f"{world.gateway.url}/v1/chat/completions", json=body, headers=head, timeout=30)
    assert answer.status_code == 404
    assert not world.gateway.said("forged") and not world.gateway.said("raw")
