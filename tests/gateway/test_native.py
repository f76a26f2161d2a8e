"""What is asked of a provider in its own dialect arrives there as it is, and so does its answer here; with its row."""

import json
import os
import threading
from collections.abc import Iterator

import anthropic
import httpx
import pytest

from gateway import usage
from tests.gateway.apis import SEARCHED, SIGNATURE, TEXT, USED, AnthropicApi, OpenAIApi
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

PROMPT, CACHED, COMPLETION, _ = USED
ASK = [{"role": "user", "content": "Where is Brno?"}]
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


@pytest.fixture
def api(world: World) -> Iterator[AnthropicApi]:
    api = AnthropicApi().start()
    provide(world, "claude", "anthropic/claude-sonnet-4-5", api.url)
    yield api
    api.stop()


def provide(world: World, name: str, model: str, base: str, key: str = 'key_env = "LAB_KEY"', more: str = "") -> None:
    aside = world.folder / "providers.new"
    aside.write_text(
        f'[[models]]\nname = "{name}"\nlitellm_model = "{model}"\napi_base = "{base}"\n{key}\ntags = ["stable"]\n'
        f"input_price = 1\noutput_price = 2\ncached_input_price = 0.1\ncache_write_price = 1.25\n{more}"
    )
    taken = len(world.gateway.said("providers.taken"))
    os.replace(aside, world.folder / "providers.toml")
    until(lambda: len(world.gateway.said("providers.taken")) > taken, 30, "the provider's model")


def post(world: World, headers: dict | None = None, path: str = "/v1/messages", **body: object) -> httpx.Response:
    wanted = {"model": "claude", "messages": ASK, "max_tokens": 60, **body}
    head = {"x-api-key": new_key(world.settings, "stable"), "anthropic-version": "2023-06-01", **(headers or {})}
    return httpx.post(f"{world.gateway.url}{path}", json=wanted, headers=head, timeout=30)


def newest(world: World, model: str = "claude") -> dict:
    return max(world.rows(model), key=lambda row: row["at"])


def test_what_a_chat_has_no_words_for_survives(world: World, api: AnthropicApi) -> None:
    """A search at the provider's with its citations, whole and streamed; fields and betas unheard of."""
    more = {"tools": [SEARCH], "thinking": {"type": "enabled", "budget_tokens": 1024}, "invented": {"deep": [1, None]}}
    answer = post(world, {"anthropic-beta": "new-thing-2027-01-01"}, **more)
    thought = {"type": "thinking", "thinking": "Where may it be?", "signature": SIGNATURE}
    assert answer.json()["content"] == [thought, *SEARCHED] and answer.json()["model"] == "claude"
    assert api.seen[-1]["invented"] == {"deep": [1, None]} and api.seen[-1]["model"] == "claude-sonnet-4-5"
    assert api.heads[-1]["anthropic-beta"] == "new-thing-2027-01-01"
    client = anthropic.Anthropic(base_url=world.gateway.url, api_key=new_key(world.settings, "stable"), max_retries=0)
    with client, client.messages.stream(model="claude", messages=ASK, max_tokens=60, tools=[SEARCH]) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == [block["type"] for block in SEARCHED]
    assert streamed.content[-1].citations and streamed.model == "claude"


def test_what_is_written_to_and_read_from_a_cache_has_its_price(world: World, api: AnthropicApi) -> None:
    """In the row and in the cost, whole and streamed."""
    fresh, out = (PROMPT - CACHED) * 1, COMPLETION * 2
    for stream in (False, True):
        marked = {"type": "text", "text": f"Know this. {stream}", "cache_control": {"type": "ephemeral"}}
        post(world, system=[marked], stream=stream)
        row = newest(world)
        assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == (PROMPT, 0, COMPLETION)
        assert row["cost"] == pytest.approx((fresh + CACHED * 1.25 + out) / 1e6) and not row["cost_estimated"]
        post(world, system=[marked], stream=stream)
        row = newest(world)
        assert row["cached_tokens"] == CACHED
        assert row["cost"] == pytest.approx((fresh + CACHED * 0.1 + out) / 1e6)


def test_whoever_hangs_up_pays_what_was_read(world: World, api: AnthropicApi) -> None:
    """The provider hears it, and bills the question: so does the row."""
    wanted = {"model": "claude", "messages": [{"role": "user", "content": "wait"}], "max_tokens": 60, "stream": True}
    head = {"x-api-key": new_key(world.settings, "stable")}
    with httpx.stream("POST", f"{world.gateway.url}/v1/messages", json=wanted, headers=head, timeout=30) as answer:
        next(answer.iter_bytes())
    until(lambda: api.left > 0, 30, "the provider to hear it")
    until(lambda: newest(world)["status"] == usage.GONE_AWAY, 30, "its row")
    row = newest(world)
    assert row["prompt_tokens"] == PROMPT and row["cost"] > 0 and row["cost_estimated"]


def test_a_limit_of_money_and_a_new_key_hold_here_too(world: World, api: AnthropicApi) -> None:
    """Spending is checked before anything is asked; a key file that was replaced is used by the next request."""
    secret = world.folder / "anthropic.key"
    secret.write_text("sk-old")
    provide(world, "claude", "anthropic/claude-sonnet-4-5", api.url, 'key_file = "anthropic.key"')
    answer = post(world)
    assert answer.status_code == 502 and "sk-old" not in answer.text and answer.json()["type"] == "error"
    secret.write_text(api.key)
    until(lambda: post(world).status_code == 200, 10, "the new key")
    provide(world, "dear", "anthropic/claude-sonnet-4-5", api.url, more="spend_per_day = 0.000001\n")
    asked = len(api.seen)
    answer = post(world, model="dear")
    assert answer.status_code == 429 and answer.json()["error"]["type"] == "rate_limit_error"
    assert len(api.seen) == asked


class Sick(AnthropicApi):
    """Answers with these statuses, one after the other, and then as it should."""

    def __init__(self, *statuses: int):
        super().__init__()
        self.statuses = list(statuses)

    def _whole(self, path: str, body: dict) -> object:
        from aiohttp import web

        if self.statuses:
            said = self._error("overloaded_error", "secret reason")
            return web.json_response(said, status=self.statuses.pop(0), headers={"retry-after": "7"})
        return super()._whole(path, body)


@pytest.mark.parametrize(
    ("statuses", "status", "kind"),
    [((529,), 200, ""), ((529, 529), 503, "overloaded_error"), ((500, 500), 502, "api_error"),
     ((429,), 429, "rate_limit_error"), ((404,), 502, "api_error"), ((302,), 502, "api_error")],
)  # fmt: skip
def test_trouble_at_the_provider(world: World, statuses: tuple[int, ...], status: int, kind: str) -> None:
    """What nobody answered is asked once more; errors are Anthropic's; a redirect is not followed with our key."""
    api = Sick(*statuses).start()
    try:
        provide(world, "claude", "anthropic/claude-sonnet-4-5", f"{api.url}/v1/")
        answer = post(world)
        assert answer.status_code == status and newest(world)["status"] == status
        if kind:
            assert answer.json()["error"]["type"] == kind and "secret reason" not in answer.text
        if status == 429:
            assert answer.headers["retry-after"] == "7"
    finally:
        api.stop()


def test_a_provider_that_cannot_be_reached(world: World) -> None:
    """A sentence and a row, not a crash."""
    provide(world, "claude", "anthropic/claude-sonnet-4-5", "http://127.0.0.1:9")
    answer = post(world)
    assert answer.status_code == 502 and answer.json()["error"]["type"] == "api_error"


def test_headers_of_a_caller_make_no_headers_of_ours(world: World, api: AnthropicApi) -> None:
    """A beta that is none is left out; nothing else of the caller's head arrives, his key least of all."""
    answer = post(world, {"anthropic-beta": "x; y: z", "x-forwarded-for": "1.2.3.4", "cookie": "a=b"})
    assert answer.status_code == 200
    head = api.heads[-1]
    assert head["x-api-key"] == api.key
    assert not {"anthropic-beta", "x-forwarded-for", "cookie", "authorization"} & set(head)


def test_as_many_at_a_time_as_the_file_says(world: World, api: AnthropicApi) -> None:
    """The next one waits for its turn."""
    provide(world, "claude", "anthropic/claude-sonnet-4-5", api.url, more="max_parallel = 1\n")
    waiting = [{"role": "user", "content": "wait"}]
    before, said = len(api.seen), []

    def ask() -> None:
        said.append(post(world, messages=waiting, stream=True).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(api.seen) == before + 1, 30, "the first")
    assert post(world, path="/v1/messages/count_tokens", model="no/such").status_code == 404
    assert len(api.seen) == before + 1
    api.release()
    for thread in threads:
        thread.join(30)
    assert said == [200, 200]


def test_a_field_that_litellm_does_not_know_reaches_openais_api(world: World) -> None:
    """And what litellm itself would obey goes nowhere but there, as a field."""
    api = OpenAIApi().start()
    try:
        provide(world, "gpt", "openai/gpt-4o", f"{api.url}/v1")
        more = {"prompt_cache_key": "k1", "verbosity": "low", "api_base": "http://127.0.0.1:9", "mock_response": "no"}
        key = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
        for stream in (False, True):
            body = {"model": "gpt", "messages": ASK, "stream": stream, **more}
            answer = httpx.post(f"{world.gateway.url}/v1/chat/completions", json=body, headers=key, timeout=30)
            assert answer.status_code == 200 and "Brno" in answer.text
            assert {name: api.seen[-1].get(name) for name in more} == more
            assert api.seen[-1]["model"] == "gpt-4o" and TEXT.split()[0] in json.dumps(answer.text)
    finally:
        api.stop()
