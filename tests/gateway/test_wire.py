"""The stream's bytes, however the network cuts them."""

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.key import Key
from gateway.call import CHAT, Call
from gateway.wire import OpenAIWire

KEY = Key(1, "dz-00000000", "alice", "", frozenset({"stable"}), 0, "alice", None, None)
TRICKY = 'say "usage": {"x":1} and\n\ndata: [DONE]\n\n"model":"/w"'


def call(**more: object) -> Call:
    return Call(CHAT, KEY, "org/m", {"model": "org/m", "stream": True}, True, bool(more.get("wants_usage")))


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps({"model": "/w", **fields}, separators=(",", ":")).encode() + b"\n\n"


STREAM = (
    event(choices=[{"delta": {"content": TRICKY}}])
    + event(choices=[{"delta": {}, "finish_reason": "stop"}])
    + event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})
    + b"data: [DONE]\n\n"
)
EXPECTED = (
    event(model="org/m", choices=[{"delta": {"content": TRICKY}}])
    + event(model="org/m", choices=[{"delta": {}, "finish_reason": "stop"}])
    + b"data: [DONE]\n\n"
)


def run(pieces: list[bytes]) -> tuple[bytes, Call, OpenAIWire]:
    asked = call()
    wire = OpenAIWire(asked, "/w")
    shown = b"".join(map(wire.feed, pieces))
    return shown + wire.end(), asked, wire


def test_split_at_every_byte() -> None:
    """One byte at a time gives the same as all at once, and text that looks like protocol stays text."""
    for pieces in ([STREAM], [bytes([b]) for b in STREAM]):
        shown, asked, wire = run(pieces)
        assert shown == EXPECTED and wire.done and not wire.broken
        assert (asked.prompt_tokens, asked.completion_tokens) == (3, 4)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_split_anywhere(cuts: list[int]) -> None:
    """Any cut gives the same bytes."""
    edges = [0, *sorted(cuts), len(STREAM)]
    assert run([STREAM[a:b] for a, b in pairwise(edges)])[0] == EXPECTED


def test_carriage_returns_and_what_follows_done() -> None:
    """Events may end in CRLF; nothing after [DONE] is passed on; a stream without it is not done."""
    shown, _, wire = run([STREAM.replace(b"\n\n", b"\r\n\r\n") + event(choices=[{"delta": {"content": "late"}}])])
    assert wire.done and b"late" not in shown
    assert not run([STREAM.removesuffix(b"data: [DONE]\n\n")])[2].done


def test_nonsense_usage_is_not_believed() -> None:
    """Negative, huge or textual token counts are not taken over."""
    for wrong in ({"prompt_tokens": -1}, {"prompt_tokens": "7"}, {"prompt_tokens": 2**60}, {"prompt_tokens": True}):
        asked = call()
        OpenAIWire(asked, "/w").feed(event(choices=[], usage=wrong))
        assert asked.counted == ""


@settings(deadline=None)
@given(
    st.recursive(
        st.text() | st.none() | st.sampled_from(["/w", TRICKY]),
        lambda c: st.dictionaries(st.sampled_from(["model", "a", "usage"]), c, max_size=2) | st.lists(c, max_size=2),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_a_whole_answer_differs_in_the_models_name_alone(inner: object, spaces: bool) -> None:
    """Whatever else is called model in it, and however it is spaced; only the top one becomes the caller's."""
    answer = {"choices": inner, "model": "/w"}
    for text in (json.dumps(answer), json.dumps(answer, separators=(",", ":")), json.dumps(answer, indent=spaces)):
        said = OpenAIWire(call(), "/w").whole(text.encode())
        assert json.loads(said) == {**answer, "model": "org/m"}


def test_numbers_of_an_answer_pass_as_they_were_written() -> None:
    """No digit of a long answer is read and written again."""
    answer = b'{"model":"/w","choices":[{"logprob":-1.2300000000000000004e-7}]}'
    assert OpenAIWire(call(), "/w").whole(answer) == answer.replace(b"/w", b"org/m")
