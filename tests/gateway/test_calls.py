"""Calls to our own servers, with the official SDK."""

import httpx
import openai
import pytest

from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]
TEXT = "Brno is in Moravia."


def text_of(stream: openai.Stream) -> str:
    return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


def test_a_chat_answer_comes_back_with_the_callers_name(world: World) -> None:
    """The SDK gets the backend's answer, under the name it asked for, and the backend saw its own name."""
    backend = world.backend("/weights/x")
    model = world.model(backend)
    answer = world.client().chat.completions.create(model=model, messages=ASK, temperature=0.5)
    assert answer.choices[0].message.content == TEXT
    assert answer.model == model
    assert backend.seen[0] == {"model": "/weights/x", "messages": ASK, "temperature": 0.5}
    assert "authorization" not in {name.lower() for name in backend.headers[0]}


def test_a_stream_comes_in_chunks_without_the_usage_nobody_asked_for(world: World) -> None:
    """A stream is whole, carries the caller's model name in every chunk, and no usage chunk."""
    model = world.model(world.backend("/weights/x"))
    chunks = list(world.client().chat.completions.create(model=model, messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert {c.model for c in chunks} == {model}
    assert all(c.usage is None for c in chunks)


def test_who_asks_for_usage_in_the_stream_gets_it(world: World) -> None:
    """stream_options.include_usage gives one last chunk with the tokens."""
    model = world.model(world.backend("/weights/x"))
    options = {"include_usage": True}
    stream = world.client().chat.completions.create(model=model, messages=ASK, stream=True, stream_options=options)
    last = list(stream)[-1]
    assert last.choices == [] and (last.usage.prompt_tokens, last.usage.completion_tokens) == (7, 5)


def test_plain_completions_work_too(world: World) -> None:
    """/v1/completions, streaming and not."""
    client, model = world.client(), world.model(world.backend("/weights/x"))
    assert client.completions.create(model=model, prompt="Brno").choices[0].text == TEXT
    stream = client.completions.create(model=model, prompt="Brno", stream=True)
    assert "".join(c.choices[0].text for c in stream) == TEXT


def test_each_answer_is_one_row_with_its_tokens(world: World) -> None:
    """The ledger holds exactly what was answered: tokens, key, team, deployment, endpoint, cost, times."""
    model = world.model(world.backend("/weights/x"))
    client = world.client()
    client.chat.completions.create(model=model, messages=ASK)
    text_of(client.chat.completions.create(model=model, messages=ASK, stream=True))
    streamed, whole = world.rows(model)
    for row in (whole, streamed):
        assert (row["prompt_tokens"], row["completion_tokens"], row["counted"]) == (7, 5, "backend")
        assert (row["status"], row["provider"], row["team"], row["key_name"]) == (200, "own", "red", "alice")
        assert 0 < row["ttft_s"] <= row["duration_s"] < 10
        assert row["cost"] == pytest.approx(row["duration_s"] / 3600 * 8 * 2.5, rel=0.9) and row["cost_estimated"] == 1
        assert row["deployment_id"].startswith("d") and row["endpoint_id"] > 0
    assert (whole["stream"], streamed["stream"]) == (0, 1)


def test_a_new_server_is_called_within_a_second(world: World) -> None:
    """A model that the ledger lists a moment ago can be called without a restart."""
    backend = world.backend("/weights/new")
    client = world.client()
    world.ledger.deploy("fresh", "org/fresh", "STABLE")
    world.ledger.serve("fresh", backend.url, "/weights/new")

    def called() -> bool:
        try:
            return bool(client.chat.completions.create(model="org/fresh", messages=ASK))
        except (openai.NotFoundError, openai.InternalServerError):
            return False

    until(called, 1, "the new model to be callable")


def test_a_server_that_leaves_the_ledger_is_not_called_again(world: World) -> None:
    """DRAINING takes an endpoint out; the model is then known, and nobody serves it: 503 with Retry-After."""
    backend = world.backend("/weights/x")
    world.ledger.deploy("leaving", "org/leaving")
    server = world.ledger.serve("leaving", backend.url, "/weights/x")
    world.settle()
    world.ledger.drain(server)
    world.settle()
    with pytest.raises(openai.InternalServerError) as caught:
        world.client().chat.completions.create(model="org/leaving", messages=ASK)
    assert caught.value.status_code == 503 and int(caught.value.response.headers["retry-after"]) > 0
    assert backend.seen == []


def test_a_refused_connection_is_retried_elsewhere_and_the_endpoint_left_out(world: World) -> None:
    """With one of two servers gone every request is answered, and the dead one is tried at most once."""
    dead, alive = world.backend("/weights/x"), world.backend("/weights/x")
    model = world.model(dead, alive)
    dead.refuse()
    before = len(world.gateway.said("attempt.failed"))
    client = world.client()
    for _ in range(10):
        assert client.chat.completions.create(model=model, messages=ASK).choices[0].message.content == TEXT
    assert len(alive.seen) == 10
    assert len(world.gateway.said("attempt.failed")) - before <= 1
    dead.open()
    until(lambda: client.chat.completions.create(model=model, messages=ASK) and dead.seen, 10, "it to be used again")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["drop", "busy", "crash"])
def test_trouble_before_the_first_byte_is_retried_on_another_replica(world: World, mode: str, stream: bool) -> None:
    """A dropped connection, a 503 or a 500 never reaches the caller while there is another replica."""
    bad, good = world.backend("/weights/x", mode=mode), world.backend("/weights/x")
    model = world.model(bad, good)
    client = world.client()
    for _ in range(6):
        answer = client.chat.completions.create(model=model, messages=ASK, stream=stream)
        assert (text_of(answer) if stream else answer.choices[0].message.content) == TEXT
    assert {row["status"] for row in world.rows(model)} == {200}


def test_a_request_that_kills_engines_is_not_led_to_all_of_them(world: World) -> None:
    """After two engines dropped the same request the third is spared."""
    backends = [world.backend("/weights/x", mode="drop") for _ in range(4)]
    model = world.model(*backends)
    with pytest.raises(openai.InternalServerError):
        world.client().chat.completions.create(model=model, messages=ASK)
    assert sum(len(backend.seen) for backend in backends) == 2


def test_no_server_that_answers_is_an_honest_503(world: World) -> None:
    """One sentence, the status, Retry-After; and a row that says 503."""
    backend = world.backend("/weights/x")
    model = world.model(backend)
    backend.refuse()
    with pytest.raises(openai.InternalServerError) as caught:
        world.client().chat.completions.create(model=model, messages=ASK)
    assert caught.value.status_code == 503 and "Try again" in str(caught.value)
    assert caught.value.response.headers["retry-after"]
    assert [row["status"] for row in world.rows(model)] == [503]
    backend.open()


def test_a_stream_that_dies_says_so(world: World) -> None:
    """The caller gets what came, then an error it can't overlook, and never [DONE]; the row says 502."""
    model = world.model(world.backend("/weights/x", mode="cut"))
    got = []
    with pytest.raises(openai.APIError, match="Ask again"):
        for chunk in world.client().chat.completions.create(model=model, messages=ASK, stream=True):
            got.append(chunk.choices[0].delta.content)
    assert "".join(got) == "Brno is"
    row = world.rows(model)[0]
    assert (row["status"], row["completion_tokens"], row["counted"]) == (502, 2, "chunks")


def test_garbage_is_a_502(world: World) -> None:
    """A backend that sends no JSON: 502, not a crash."""
    model = world.model(world.backend("/weights/x", mode="garbage"))
    with pytest.raises(openai.InternalServerError) as caught:
        world.client().chat.completions.create(model=model, messages=ASK)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_hangs_up_stops_the_backend(world: World, stream: bool) -> None:
    """The backend sees its client leave, and the ledger has a row with 499."""
    backend = world.backend("/weights/x", mode="hold")
    model = world.model(backend)
    body = {"model": model, "messages": ASK, "stream": stream}
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
    url = f"{world.gateway.url}/v1/chat/completions"
    with httpx.Client() as client:
        if stream:
            with client.stream("POST", url, json=body, headers=headers) as answer:
                next(answer.iter_bytes())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(url, json=body, headers=headers, timeout=0.5)
    until(lambda: backend.left == 1, 5, "the backend to notice")
    row = until(lambda: world.rows(model), 5, "the row")[0]
    assert row["status"] == 499


def test_load_spreads_over_replicas(world: World) -> None:
    """Conversations that have just begun find a home each, some here and some there."""
    one, other = world.backend("/weights/x"), world.backend("/weights/x")
    model = world.model(one, other)
    client = world.client()
    for n in range(20):
        question = [{"role": "user", "content": f"What is {n} + {n}?"}]
        client.chat.completions.create(model=model, messages=question)
    assert len(one.seen) + len(other.seen) == 20 and min(len(one.seen), len(other.seen)) > 0
