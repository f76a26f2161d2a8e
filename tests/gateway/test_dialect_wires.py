"""Dialects' bytes and events, however the network cuts them; pure."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from gateway.auth.key import Key
from gateway.call import Call
from gateway.counting import Counter, Sample, asked, written
from gateway.dialects import messages, multipart, responses
from gateway.dialects.counts import Counts, as_anthropic, read
from gateway.dialects.kinds import KINDS, MESSAGES, RESPONSE
from gateway.dialects.messages_answer import Messages
from gateway.dialects.native import MessagesWire, ResponsesWire
from gateway.dialects.responses_answer import Responses
from gateway.dialects.translated import as_chat
from gateway.errors import ApiError
from gateway.wire import split
from lifecycle.runfolder import model_folder

quick = settings(deadline=None, suppress_health_check=list(HealthCheck))  # the machine may be busy
KEY = Key(1, "dz-00000000", "alice", "", frozenset({"stable"}), 0, "alice", None, None)
TRICKY = 'event: message_stop\n\nevent: response.completed "usage": {"x":1}'


def call(kind: str, **body: object) -> Call:
    return Call(kind, KEY, "org/m", {"model": "org/m", "stream": True, **body}, True, False)


def event(name: str, **fields: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields}, separators=(',', ':'))}\n\n".encode()


MESSAGE = (
    event("message_start", message={"model": "/w", "usage": {"input_tokens": 7, "cache_read_input_tokens": 4}})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": TRICKY})
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 7, "output_tokens": 3})
)
MESSAGE_END = event("message_stop")
RESPONSE_BODY = event("response.created", response={"model": "/w", "usage": None}) + event(
    "response.output_text.delta", delta=TRICKY
)
RESPONSE_USED = {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3}
RESPONSE_END = event("response.completed", response={"model": "/w", "usage": RESPONSE_USED})


@pytest.mark.parametrize(
    ("kind", "wire", "body", "end"),
    [(MESSAGES, MessagesWire, MESSAGE, MESSAGE_END), (RESPONSE, ResponsesWire, RESPONSE_BODY, RESPONSE_END)],
)
@quick
@given(data=st.data())
def test_a_stream_of_named_events_survives_every_cut(
    kind: str, wire: type, body: bytes, end: bytes, data: st.DataObject
) -> None:
    """The same bytes with our name, the last event held back until the row is written, usage whole; text that looks
    like an end is text."""
    stream = body + end + b"event: late\ndata: {}\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    one = call(kind)
    under_test = wire(one, "/w")
    shown = b"".join(under_test.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))
    ours = body.replace(b'"/w"', b'"org/m"')
    assert shown == ours and under_test.done and not under_test.broken
    assert under_test.end().startswith(end.replace(b'"/w"', b'"org/m"'))
    assert (one.prompt_tokens, one.cached_tokens, one.completion_tokens, one.counted) == (11, 4, 3, "backend")


def test_what_was_never_finished_was_not_used() -> None:
    """The usage in a message's first event doesn't count for a stream that broke."""
    one = call(MESSAGES)
    wire = MessagesWire(one, "/w")
    wire.feed(MESSAGE)
    assert (one.counted, wire.chunks, wire.done) == ("", 3, False)
    broken = MessagesWire(one, "/w")
    broken.feed(event("error", error={"message": "no"}))
    assert broken.broken and not broken.done


USED = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}
CHUNKS = [
    {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"delta": {"reasoning_content": "Hm"}}]},
    {"choices": [{"delta": {"reasoning": "m."}}]},
    {"choices": [{"delta": {"content": "Br"}}]},
    {"choices": [{"delta": {"content": "no"}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}}]}}]},
    {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    {"choices": [], "usage": USED},
]


def events_of(stream: bytes) -> list[dict]:
    return [json.loads(one.partition(b"data: ")[2]) for one in split(stream)]


def test_a_chats_chunks_become_a_message() -> None:
    """Blocks are opened, filled and closed one after the other; usage in Anthropic's way of counting."""
    chunks = Messages().stream({"model": "org/m"}, "req-1")
    events = events_of(b"".join(map(chunks.chunk, CHUNKS)) + chunks.end())
    kinds = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    open_blocks: list[int] = []
    for one in events:
        if one["type"] == "content_block_start":
            assert open_blocks == []
            open_blocks.append(one["index"])
        elif one["type"] == "content_block_delta":
            assert open_blocks == [one["index"]]
        elif one["type"] == "content_block_stop":
            open_blocks.remove(one["index"])
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"]["input_tokens"] == 7 and events[-2]["usage"]["cache_read_input_tokens"] == 2
    assert events[-1] == {"type": "message_stop"}
    assert "".join(written(b"".join(map(Messages().stream({}, "1").chunk, CHUNKS)))).startswith("Hmm.Brno")


def test_a_chats_chunks_become_a_response() -> None:
    """Its last event holds what a whole answer would have held; the numbers have no gap."""
    chunks = Responses().stream({"model": "org/m"}, "req-1")
    events = events_of(b"".join(map(chunks.chunk, CHUNKS)) + chunks.end())
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert output[1]["content"][0]["text"] == "Brno" and output[2]["arguments"] == '{"a":1}'
    assert events[-1]["response"]["usage"]["total_tokens"] == 14
    done = [one["item"] for one in events if one["type"] == "response.output_item.done"]
    assert done == output


def test_a_conversation_with_tools_becomes_a_chat() -> None:
    """Results are messages of their own, calls belong to their turn, in both dialects."""
    said = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"},
                                     {"type": "text", "text": "So?"}]},
    ]  # fmt: skip
    chat = messages.request({"messages": said, "max_tokens": 5, "system": [{"type": "text", "text": "Be kind."}]})
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    expected = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "user", "content": "So?"},
    ]
    assert chat["messages"] == expected
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "t1", "output": "rain"},
        {"role": "user", "content": "So?"},
    ]
    assert responses.request({"input": items, "instructions": "Be kind."})["messages"] == expected


WEIRD = [
    None, True, 7, "", "text", [], [7], [[]], {}, [{}], [{"type": "image", "source": "x"}], [{"role": "user"}],
    [{"role": "user", "content": [{"type": "image", "source": 3}]}], [{"role": "user", "content": [None]}],
    [{"role": 5, "content": "x"}], [{"role": "assistant", "content": [{"type": "tool_use"}]}], {"format": 4},
    [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": None}]}]}],
    [{"type": "function_call"}], [{"type": "item_reference", "id": "x"}], [{"type": "function", "parameters": 3}],
    {"type": "tool"}, {"type": "auto"}, {"format": {"type": "json_schema"}}, [{"role": "user", "content": {"a": 1}}],
]  # fmt: skip
FIELDS = ["messages", "input", "system", "tools", "tool_choice", "text", "metadata", "output_config", "reasoning"]


@quick
@given(st.sampled_from([MESSAGES, RESPONSE]), st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(WEIRD)))
def test_nonsense_is_refused_and_never_crashes(kind: str, body: dict) -> None:
    """Whatever the shape of a request: a chat, or a sentence."""
    try:
        KINDS[kind].check({"max_tokens": 5, **body})
        chat = as_chat(KINDS[kind].translation, body)
    except ApiError as error:
        assert error.status == 400
    else:
        assert isinstance(chat["messages"], list)
        list(asked(body))


@quick
@given(st.dictionaries(st.sampled_from(["model", "language", "prompt"]), st.text("ab\r\n-", max_size=9)), st.binary())
def test_a_form_keeps_everything_but_the_models_name(fields: dict[str, str], sound: bytes) -> None:
    """Files of any bytes survive; the one field is replaced."""
    boundary = "x9d8f7"
    begin = f"--{boundary}\r\nContent-Disposition: form-data; name="
    texts = "".join(f'{begin}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    form = f'{texts}{begin}"file"; filename="ä.wav"\r\n\r\n'.encode() + sound + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    replaced = multipart.replace(form, kind, "model", "/w")
    expected = {name: "/w" if name == "model" else value for name, value in fields.items()}
    assert multipart.fields(replaced, kind) == expected | {"file": ""}
    assert multipart.file(replaced, kind, "file") == ("ä.wav", sound)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Counts(3, 4)),
        ({"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 4}, Counts(5, 4, 2)),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 4}, Counts(3, 4, 2)),
        ({"total_tokens": 9}, Counts(9, 0)),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, None),
        ({"prompt_tokens": 3, "prompt_tokens_details": "x"}, Counts(3, 0)),
        ("many", None),
    ],
)
def test_usage_in_every_dialect(usage: object, counts: Counts | None) -> None:
    """Four counts of every shape; nonsense says nothing."""
    assert read(usage) == counts
    assert as_anthropic(usage)["output_tokens"] == (counts.completion if counts else 0)


def test_a_tokenizer_counts_what_nobody_counted(tmp_path: Path) -> None:
    """By the beginning of a stream for all of it; without a tokenizer the caller is told that there is none."""
    folder = model_folder(tmp_path, "org/m", "abc")
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    counter = Counter(tmp_path, None)
    events = b'data: {"choices": [{"delta": {"content": " a b"}}]}\n\n' * 2
    body = {"messages": [{"role": "user", "content": "a b a"}]}
    assert counter._measure("org/m", "abc", body, Sample(events, 2, 10)) == (3 + 4, 20)
    assert counter._measure("org/m", "gone", body, Sample(events, 2, 10)) == (None, None)
