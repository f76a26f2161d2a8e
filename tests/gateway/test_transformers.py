"""`transformers serve` behind the adapter looks like any other engine."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.transformers_wire import StopCutter
from tests.gateway.conftest import World

ASK = [{"role": "user", "content": "Where is Brno?"}]


def test_the_same_experience_as_with_vllm(world: World) -> None:
    """Names, unknown fields, max_completion_tokens, stop text, usage and [DONE] are as everywhere."""
    backend = world.backend("/weights/t", "transformers")
    model = world.model(backend, engine="transformers")
    client = world.client()
    answer = client.chat.completions.create(
        model=model,
        messages=ASK,
        stop=["Mora", "zzz"],
        max_completion_tokens=9,
        logit_bias={},
        parallel_tool_calls=True,
        extra_body={"top_k": 3, "guided_json": {}},
    )
    assert (answer.model, answer.choices[0].message.content) == (model, "Brno is in ")
    assert backend.seen[0] == {
        "model": "/weights/t",
        "messages": ASK,
        "stop": ["Mora", "zzz"],
        "max_tokens": 9,
    }
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=model, messages=ASK, stop="Mora", stream=True, stream_options=options)
    )
    *parts, last = chunks
    assert "".join(c.choices[0].delta.content or "" for c in parts) == "Brno is in "
    assert parts[-1].choices[0].finish_reason == "stop" and all(c.usage is None for c in parts)
    assert (last.choices, last.usage.completion_tokens) == ([], 5)
    assert {c.model for c in chunks} == {model}
    silent = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    assert all(c.usage is None and c.choices for c in silent)
    assert [(row["completion_tokens"], row["status"]) for row in world.rows(model)] == [(5, 200)] * 3


def test_plain_completions(world: World) -> None:
    """A prompt in a list of one works, streaming too."""
    model = world.model(world.backend("/weights/t", "transformers"), engine="transformers")
    client = world.client()
    assert client.completions.create(model=model, prompt=["Brno"]).choices[0].text == "Brno is in Moravia."
    stream = client.completions.create(model=model, prompt="Brno", stream=True, stop=" in")
    assert "".join(c.choices[0].text for c in stream) == "Brno is"


@given(st.lists(st.text("ab", max_size=4), max_size=8), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_cutting_does_not_depend_on_the_pieces(pieces: list[str], stops: list[str]) -> None:
    """However the text is split, what is shown is the text before the first stop string to be completed."""
    cutter = StopCutter(tuple(stops))
    shown = "".join(map(cutter.feed, pieces)) + cutter.flush()
    whole = StopCutter(tuple(stops))
    text = "".join(pieces)
    one_by_one = "".join(map(whole.feed, text)) + whole.flush()
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert shown == one_by_one == text
    else:
        assert text.startswith(shown) and not any(stop in shown for stop in stops)
        assert len(one_by_one) < min(ends)
