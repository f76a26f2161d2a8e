"""Each dialect at the gateway, in front of stand-ins of engines and APIs: what goes there, what comes back, what is
counted."""

import base64
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from tests.gateway.apis import CALL, TEXT, USED, AnthropicApi, OpenAIApi
from tests.gateway.conftest import World
from tests.gateway.speakers import Speaker
from tests.gateway.test_sdk_matrix import provide
from tests.gateway.world import new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
SAID = "Brno is in Moravia."


CLIENTS: list[openai.OpenAI | anthropic.Anthropic] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def claude(world: World, key: str | None = None) -> anthropic.Anthropic:
    key = key or new_key(world.settings, "stable")
    CLIENTS.append(anthropic.Anthropic(base_url=world.gateway.url, api_key=key, max_retries=0, timeout=30))
    return CLIENTS[-1]


def chat(world: World) -> openai.OpenAI:
    CLIENTS.append(world.client())
    return CLIENTS[-1]


def row(world: World, model: str) -> dict:
    """The newest row of the model."""
    return world.rows(model)[0]


@pytest.fixture
def speaker(world: World):
    """An engine that speaks every dialect itself, as vLLM does, and its model's name."""
    here = Speaker("/w").start()
    world.ledger.deploy(name := f"speaker-{here.port}", f"org/{name}")
    world.ledger.serve(name, here.url, "/w")
    world.settle()
    yield here, f"org/{name}"
    here.stop()


def test_messages_pass_through_to_an_engine_that_speaks_them(world: World, speaker: tuple[Speaker, str]) -> None:
    """The body but for the model's name; thoughts, cached and reasoning tokens come back and are counted."""
    engine, model = speaker
    thinking = {"type": "enabled", "budget_tokens": 1024}
    wanted = {"model": model, "messages": ASK, "max_tokens": 2000, "thinking": thinking, "stop_sequences": ["zzz"]}
    answer = claude(world).messages.create(**wanted)
    assert engine.seen[-1] == wanted | {"model": "/w"} and engine.paths[-1] == "/v1/messages"
    assert (answer.model, [block.type for block in answer.content]) == (model, ["thinking", "text"])
    counts = [row(world, model)[name] for name in ("prompt_tokens", "cached_tokens", "completion_tokens")]
    assert counts == [USED[0], USED[1], USED[2]] and row(world, model)["kind"] == "messages"
    with claude(world).messages.stream(**wanted) as stream:
        last = stream.get_final_message()
    assert (last.model, last.content[-1].text, last.stop_reason) == (model, TEXT, "end_turn")
    found = row(world, model)
    assert [found[name] for name in ("prompt_tokens", "completion_tokens", "counted")] == [USED[0], USED[2], "backend"]


def test_tools_pass_through(world: World, speaker: tuple[Speaker, str]) -> None:
    """What is offered arrives as it is; the call comes back whole and in pieces."""
    engine, model = speaker
    tool = {"name": "weather", "input_schema": {"type": "object"}, "strict": True}
    wanted = {"model": model, "messages": ASK, "max_tokens": 9, "tools": [tool]}
    answer = claude(world).messages.create(**wanted)
    assert engine.seen[-1]["tools"] == [tool]
    assert (answer.content[0].name, answer.content[0].input, answer.stop_reason) == ("weather", CALL, "tool_use")
    with claude(world).messages.stream(**wanted) as stream:
        assert stream.get_final_message().content[0].input == CALL


def test_responses_pass_through_and_nothing_is_kept(world: World, speaker: tuple[Speaker, str]) -> None:
    """The engine is told not to store; the stream ends with its last event after the row is written."""
    engine, model = speaker
    client = chat(world)
    answer = client.responses.create(model=model, input="Where is Brno?")
    assert (answer.output_text, answer.model, answer.store) == (TEXT, model, False)
    assert engine.seen[-1] == {"model": "/w", "input": "Where is Brno?", "store": False}
    events = list(client.responses.create(model=model, input="Where is Brno?", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.model == model
    found = row(world, model)
    assert [found[n] for n in ("prompt_tokens", "cached_tokens", "reasoning_tokens")] == [USED[0], USED[1], USED[3]]
    for memory in ({"previous_response_id": "resp_1"}, {"store": True}, {"background": True}, {"conversation": "c"}):
        with pytest.raises(openai.BadRequestError, match=r"conversation|Leave it out|Stream"):
            client.responses.create(model=model, input="And Prague?", **memory)


def test_embeddings_ranks_counts_and_sounds_pass_through(world: World, speaker: tuple[Speaker, str]) -> None:
    """Each at its address; the model's name is swapped, also in a form; a row each, and counting costs none."""
    engine, model = speaker
    client = chat(world)
    assert client.embeddings.create(model=model, input=["a", "b"], encoding_format="float").data[1].embedding == [0.25]
    assert row(world, model)["prompt_tokens"] == 5
    assert claude(world).messages.count_tokens(model=model, messages=ASK).input_tokens == 11
    assert row(world, model)["prompt_tokens"] is None
    body = {"model": model, "query": "Brno", "documents": ["Moravia", "Bohemia"], "top_n": 1}
    headers = {"authorization": f"Bearer {client.api_key}"}
    for path in ("/v1/rerank", "/v2/rerank", "/rerank"):
        ranked = httpx.post(f"{world.gateway.url}{path}", json=body, headers=headers).json()
        assert ranked["results"][0]["index"] == 0 and engine.paths[-1] == "/v1/rerank"
    sound = ("a.wav", b"RIFF\r\n--not-a-boundary\r\n", "audio/wav")
    heard = client.audio.transcriptions.create(model=model, file=sound, language="cs")
    assert heard.text == TEXT and engine.forms[-1] == {"model": "/w", "language": "cs", "file": sound[1].decode()}
    assert client.audio.speech.create(model=model, voice="a", input="Brno").content == b"ID3sound"
    painted = client.images.generate(model=model, prompt="Brno")
    assert base64.b64decode(painted.data[0].b64_json) == b"hello"


def test_what_a_model_cannot_do_is_said(world: World, speaker: tuple[Speaker, str]) -> None:
    """An engine without the address, one of another kind, a form that is none: 400 in the caller's dialect."""
    engine, model = speaker
    engine.missing = {"/v1/embeddings"}
    with pytest.raises(openai.BadRequestError, match="can't do this"):
        chat(world).embeddings.create(model=model, input="a")
    plain = world.model(world.backend("/t", "transformers"), engine="transformers")
    with pytest.raises(openai.BadRequestError, match="can't do embeddings"):
        chat(world).embeddings.create(model=plain, input="a")
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable')}", "content-type": "multipart/form-data"}
    refused = httpx.post(f"{world.gateway.url}/v1/audio/transcriptions", content=b"--x", headers=headers)
    assert refused.status_code == 400 and "multipart form" in refused.json()["error"]["message"]


def test_a_stream_that_breaks_ends_in_the_callers_dialect(world: World) -> None:
    """The engine dies after two chunks: an event named error for Anthropic's client and for responses; the row 502."""
    model, other = (
        world.model(world.backend("/t", "transformers", mode="cut"), engine="transformers") for _ in range(2)
    )
    with pytest.raises(anthropic.APIStatusError, match="went away"):
        list(claude(world).messages.create(model=model, messages=ASK, max_tokens=9, stream=True))
    assert row(world, model)["status"] == 502
    with pytest.raises(openai.APIError, match="went away"):
        list(chat(world).responses.create(model=other, input="Where?", stream=True))


def test_translated_for_an_engine_that_only_chats(world: World) -> None:
    """Messages and responses, whole and streamed, in front of the Transformers server's shape; stop text and usage."""
    backend = world.backend("/t", "transformers")
    model = world.model(backend, engine="transformers")
    answer = claude(world).messages.create(
        model=model, max_tokens=9, system="Be short.", messages=ASK, stop_sequences=[" Mora"]
    )
    assert (answer.content[0].text, answer.stop_reason) == ("Brno is in", "stop_sequence")
    assert answer.stop_sequence == " Mora"
    assert backend.seen[-1]["messages"] == [{"role": "system", "content": "Be short."}, *ASK]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)
    events = list(chat(world).responses.create(model=model, input="Where is Brno?", stream=True))
    assert events[-1].response.output_text == SAID and events[-1].response.usage.output_tokens == 5
    assert {found["counted"] for found in world.rows(model)} == {"backend"}


def test_a_caller_who_leaves_is_heard_by_the_backend(world: World) -> None:
    """In each dialect, in front of each kind of engine: the connection to it ends, and the row says 499."""
    for engine in ("vllm", "transformers"):
        backend = world.backend("/t", engine, mode="hold")
        model = world.model(backend, engine=engine)
        with chat(world).chat.completions.create(model=model, messages=ASK, stream=True) as stream:
            next(iter(stream))
        until(lambda: backend.left == 1, 30, "the backend to hear of it")  # noqa: B023
        until(lambda: [r["status"] for r in world.rows(model)] == [499], 30, "the row")  # noqa: B023
        assert row(world, model)["counted"] == "chunks"
        if engine == "transformers":
            with claude(world).messages.create(model=model, messages=ASK, max_tokens=9, stream=True) as stream:
                next(iter(stream))
            until(lambda: backend.left == 2, 30, "the backend to hear of it")  # noqa: B023


def test_wrong_keys_and_unknown_models_in_anthropics_shape(world: World) -> None:
    """Their error types, with the statuses of everybody."""
    with pytest.raises(anthropic.AuthenticationError) as caught:
        claude(world, "dz-wrong").messages.create(model="x", messages=ASK, max_tokens=9)
    assert caught.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude(world).messages.create(model="no/such", messages=ASK, max_tokens=9)
    assert caught.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        claude(world).post("/v1/messages", body={"model": "x", "messages": ASK}, cast_to=object)


def test_the_list_of_models_in_each_dialect(world: World) -> None:
    """The same names for each client, in its own shape; one model by its name, slash and all."""
    model = world.model(world.backend("/w"))
    theirs, ours = claude(world), chat(world)
    assert [one.id for one in theirs.models.list()] == [one.id for one in ours.models.list()]
    headers = {"x-api-key": theirs.api_key, "anthropic-version": "2023-06-01"}
    found = httpx.get(f"{world.gateway.url}/v1/models/{model}", headers=headers).json()
    assert found["type"] == "model" and found["id"] == ours.models.retrieve(model).id == model


def test_providers_do_more_than_chat(world: World) -> None:
    """Embeddings, pictures, speech and transcriptions through litellm, counted and priced; scores are refused there."""
    api = OpenAIApi().start()
    try:
        provide(world, "everything", "openai/everything", f"{api.url}/v1")
        client = chat(world)
        found = client.embeddings.create(model="everything", input=["a", "b"], encoding_format="float")
        assert (found.model, found.data[1].embedding) == ("everything", [0.25, -0.5])
        assert (row(world, "everything")["prompt_tokens"], row(world, "everything")["cost"]) == (5, pytest.approx(5e-6))
        assert client.images.generate(model="everything", prompt="Brno", n=2).data[1].b64_json == "aGVsbG8="
        assert client.audio.speech.create(model="everything", voice="alloy", input="Brno").content == b"ID3sound"
        heard = client.audio.transcriptions.create(model="everything", file=("a.wav", b"RIFF", "audio/wav"))
        assert heard.text == TEXT and b"RIFF" in api.seen[-1]["form"]
        headers = {"authorization": f"Bearer {client.api_key}"}
        body = {"model": "everything", "text_1": "a", "text_2": "b"}
        refused = httpx.post(f"{world.gateway.url}/v1/score", json=body, headers=headers)
        assert refused.status_code == 400 and "can't do scoring" in refused.json()["error"]["message"]
    finally:
        api.stop()


def test_cached_and_reasoning_tokens_of_providers_are_counted(world: World) -> None:
    """Whole and streamed, from both shapes of API."""
    for api, name in ((OpenAIApi(), "openai/gpt-4o"), (AnthropicApi(), "anthropic/claude-sonnet-4-5")):
        api.start()
        try:
            model = f"counted-{name[:6]}"
            provide(world, model, name, api.url + ("/v1" if "openai" in name else ""))
            for stream in (False, True):
                answer = chat(world).chat.completions.create(model=model, messages=ASK, max_tokens=9, stream=stream)
                if stream:
                    list(answer)
                found = row(world, model)
                assert (found["prompt_tokens"], found["cached_tokens"], found["completion_tokens"]) == USED[:3]
        finally:
            api.stop()
