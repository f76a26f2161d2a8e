"""Tokens, scopes and limits through a running gateway, with the official clients and in the caller's dialect."""

from collections.abc import Iterator
from dataclasses import dataclass

import anthropic
import httpx
import openai
import pytest

from gateway import keys, usage
from gateway.auth.key import prefix_of
from gateway.auth.limits import limits_of
from gateway.store import open_store
from lifecycle.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.identity import AUDIENCE, Identity
from tests.gateway.world import Gateway, Ledger, configure
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
PROVIDERS = """
[[models]]
name = "{name}"
litellm_model = "hosted_vllm/judge"
api_base = "{url}/v1"
tags = ["stable"]
input_price = 1000
output_price = 2000
{more}
"""


@dataclass
class Place:
    settings: Settings
    gateway: Gateway
    identity: Identity
    judge: Backend

    def key(self, name: str, limits: dict | None = None, **more: object) -> str:
        db = open_store(self.settings.gateway_path)
        try:
            return keys.issue(db, name, ["stable"], limits=limits_of(limits or {}), **more)
        finally:
            db.close()

    def offer(self, name: str, more: str) -> None:
        """The providers file has this model and no other."""
        text = PROVIDERS.format(name=name, url=self.judge.url, more=more)
        (self.settings.gateway.providers_file).write_text(text)
        client = self.gateway.client(self.key("looker"))
        until(lambda: name in {model.id for model in client.models.list()}, 60, f"{name} to be offered")
        until(lambda: self.gateway.said("litellm.ready"), 120, "litellm to be imported")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("auth")
    settings = configure(folder, providers=True)
    (folder / "providers.toml").write_text("")
    identity = Identity()
    identity.add("one")
    file = folder / "dayzero.toml"
    file.write_text(
        file.read_text() + f'[gateway.oidc.corp]\nissuer = "{identity.issuer}"\naudience = "{AUDIENCE}"\n'
        '[gateway.oidc.corp.grants.ml]\nvalue = "ml-*"\nteam = "red"\nmodels = ["org/one"]\n'
    )
    ledger = Ledger(settings.ledger_path)
    backends = [Backend("/w").start(), Backend("/w").start(), Backend("judge").start()]
    for n, backend in zip(("one", "two"), backends, strict=False):
        ledger.deploy(n, f"org/{n}")
        ledger.serve(n, backend.url, "/w")
    gateway = Gateway(folder)
    yield Place(settings, gateway, identity, backends[2])
    gateway.stop()
    for backend in backends:
        backend.stop()
    ledger.close()
    identity.close()


def test_a_token_calls_models_as_a_key_does(place: Place) -> None:
    """With the OpenAI SDK: it sees and calls what its group grants, and its usage is its person's and its team's."""
    client = place.gateway.client(place.identity.token(sub="dana"))
    assert [model.id for model in client.models.list()] == ["org/one"]
    for stream in (False, True):
        assert client.chat.completions.create(model="org/one", messages=ASK, stream=stream)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="org/two", messages=ASK)
    row = usage.rows(place.settings.gateway_path)[0]
    assert (row["team"], row["key_name"], row["model"]) == ("red", "dana@example.org", "org/one")


@pytest.mark.parametrize(("claims", "status"), [({"exp": 1}, 401), ({"aud": "x"}, 401), ({"groups": ["sales"]}, 403)])
def test_a_wrong_token_is_refused_in_the_callers_dialect(place: Place, claims: dict, status: int) -> None:
    """The status and the sentence, as OpenAI's and as Anthropic's API would send them; the token is nowhere in them."""
    token = place.identity.token(**claims)
    with pytest.raises(openai.APIStatusError) as refused:
        place.gateway.client(token).chat.completions.create(model="org/one", messages=ASK)
    assert refused.value.status_code == status and token not in str(refused.value)
    with (
        anthropic.Anthropic(base_url=place.gateway.url, auth_token=token, api_key=None, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as refused,
    ):
        client.messages.create(model="org/one", max_tokens=10, messages=ASK)
    assert refused.value.status_code == status and refused.value.body["type"] == "error"


def test_scopes_and_a_map_bind_a_key(place: Place) -> None:
    """It calls what its globs let it, also by its own names for them; other models do not exist for it."""
    key = place.key("scoped", models=["org/o*"], model_map={"gpt-4o": "org/one", "other": "org/two"})
    client = place.gateway.client(key)
    answer = client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert answer.model == "gpt-4o" and answer.choices[0].message.content == "Brno is in Moravia."
    assert {model.id for model in client.models.list()} >= {"org/one", "gpt-4o"}
    for name in ("org/two", "other", "two"):
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model=name, messages=ASK)


def test_a_limit_speaks_the_callers_dialect(place: Place) -> None:
    """429 with Retry-After for both SDKs, x-ratelimit headers on answers and refusals, no row for what was refused."""
    key = place.key("limited", {"requests_per_minute": 2, "tokens_per_minute": 100_000})
    client = place.gateway.client(key)
    raw = client.chat.completions.with_raw_response.create(model="org/one", messages=ASK, max_tokens=50)
    assert raw.headers["x-ratelimit-remaining-requests"] == "1"
    assert raw.headers["x-ratelimit-limit-tokens"] == "100000" and raw.headers["x-ratelimit-reset-requests"] == "62s"
    list(client.chat.completions.create(model="org/one", messages=ASK, stream=True))
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="org/one", messages=ASK)
    assert refused.value.code == "rate_limit_exceeded" and 0 < int(refused.value.response.headers["retry-after"]) <= 62
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    with (
        anthropic.Anthropic(base_url=place.gateway.url, api_key=key, max_retries=0) as other,
        pytest.raises(anthropic.RateLimitError) as refused,
    ):
        other.messages.create(model="org/one", max_tokens=10, messages=ASK)
    assert refused.value.body["error"]["type"] == "rate_limit_error" and refused.value.response.headers["retry-after"]
    mine = [row for row in usage.rows(place.settings.gateway_path) if row["key"] == prefix_of(key)]
    assert [row["status"] for row in mine] == [200, 200]
    assert place.gateway.said("refused.limit") or until(lambda: place.gateway.said("refused.limit"), 30, "its log line")


def test_a_stream_that_the_caller_leaves_gives_its_reservation_back(place: Place) -> None:
    """What was reserved for 5,000 tokens is free again when he hangs up: the next call fits into 6,000 a day."""
    key = place.key("leaver", {"tokens_per_day": 6000})
    body = {"model": "org/one", "messages": ASK, "stream": True, "max_tokens": 5000}
    headers = {"authorization": f"Bearer {key}"}
    for _ in range(3):
        with httpx.stream("POST", f"{place.gateway.url}/v1/chat/completions", json=body, headers=headers) as answer:
            assert answer.status_code == 200
            next(answer.iter_bytes())

        def fits() -> bool:
            whole = {**body, "stream": False}
            return httpx.post(f"{place.gateway.url}/v1/chat/completions", json=whole, headers=headers).is_success

        until(fits, 30, "the reservation to be free")


def asked(place: Place, key: str, model: str) -> int:
    """How many calls are answered until the first is refused."""
    client = place.gateway.client(key)
    for n in range(20):
        try:
            client.chat.completions.create(model=model, messages=ASK, max_tokens=5)
        except openai.RateLimitError as refused:
            assert refused.code == "insufficient_quota" and int(refused.response.headers["retry-after"]) > 0
            said = str(refused)
            assert "cost" in said and "a day" in said, said
            return n
    return 20


def test_what_a_model_a_provider_and_a_key_may_cost(place: Place) -> None:
    """0.017 a call, at most about 0.04 before it is known: each limit stops calls before it is passed, not after."""
    place.offer("dear", "spend_per_day = 0.1")
    assert 3 <= asked(place, place.key("rich"), "dear") <= 5
    place.offer("cheap", "[providers.hosted_vllm]\nspend_per_day = 0.2")
    assert 3 <= asked(place, place.key("richer"), "cheap") <= 8
    place.offer("free", "")
    assert 2 <= asked(place, place.key("poor", {"cost_per_day": 0.1}), "free") <= 5
    spent = sum(row["cost"] for row in usage.rows(place.settings.gateway_path) if row["model"] in ("dear", "cheap"))
    assert spent <= 0.2
    assert not any(row["status"] == 429 for row in usage.rows(place.settings.gateway_path))


def test_a_providers_limit_for_nobody_is_refused(place: Place) -> None:
    """[providers] names one that no model has: the file is wrong, the old one stays, the reason is said."""
    place.offer("kept", "")
    text = PROVIDERS.format(name="new", url=place.judge.url, more="[providers.opnai]\nspend_per_day = 1")
    place.settings.gateway.providers_file.write_text(text)
    until(lambda: any("opnai" in line["reason"] for line in place.gateway.said("providers.refused")), 30, "the reason")
    assert "kept" in {model.id for model in place.gateway.client(place.key("looker")).models.list()}


def test_no_token_and_no_key_is_written_anywhere(place: Place) -> None:
    """After all of the above: no signature of a token and no secret of a key in the log or in the state's files."""
    client = place.gateway.client(token := place.identity.token())
    assert client.chat.completions.create(model="org/one", messages=ASK)
    key = place.key("last")
    assert place.gateway.client(key).chat.completions.create(model="org/one", messages=ASK)
    written = [str(place.gateway.lines).encode()]
    written += [file.read_bytes() for file in place.settings.site.state.iterdir() if file.is_file()]
    for secret in (token.rpartition(".")[2].encode(), key[len(prefix_of(key)) + 1 :].encode()):
        assert not any(secret in text for text in written)
