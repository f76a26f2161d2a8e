"""Anthropic's SDK."""

import json

import anthropic

from tests.gateway.clients.place import CITY, PIXEL, SCHEMA, Place, refused, stranger
from tests.waiting import until

CLAUDE_TOOL = {"name": "weather", "description": "Now", "input_schema": SCHEMA}
CLAUDE_FORCED = {"tools": [CLAUDE_TOOL], "tool_choice": {"type": "tool", "name": "weather"}}


def tell(place: Place, **more: object) -> anthropic.types.Message:
    wanted = {"model": place.model, "messages": place.asked, "max_tokens": 60, "temperature": 0, **more}
    extra = {"temperature": wanted.pop("temperature")}  # newer models of theirs take none, so their SDK doesn't either
    extra |= wanted.pop("extra_body", {})
    return place.claude.messages.create(**wanted, extra_body={k: v for k, v in extra.items() if v is not None})


def answer(place: Place) -> None:
    answer = tell(place)
    assert (answer.model, answer.content[0].text) == (place.model, place.answer)
    assert answer.stop_reason == "end_turn" and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def stream(place: Place) -> None:
    wanted = {"model": place.model, "messages": place.asked, "max_tokens": 60}
    with place.claude.messages.stream(**wanted, extra_body={"temperature": 0}) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == place.answer and len(pieces) > 1
    assert (answer.model, answer.content[0].text, answer.stop_reason) == (place.model, place.answer, "end_turn")


def tools(place: Place) -> None:
    answer = tell(place, **CLAUDE_FORCED)
    used = [block for block in answer.content if block.type == "tool_use"]
    assert place.called([(b.name, b.input) for b in used]) and answer.stop_reason == "tool_use"
    with place.claude.messages.stream(
        model=place.model, messages=place.asked, max_tokens=60, **CLAUDE_FORCED
    ) as stream:
        answer = stream.get_final_message()
    used = [block for block in answer.content if block.type == "tool_use"]
    assert place.called([(b.name, b.input) for b in used]) and answer.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": used[0].id, "content": "rain"}
    said = [*place.asked, {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in used]}]
    said.append({"role": "user", "content": [result]})
    assert tell(place, messages=said, tools=[CLAUDE_TOOL]).content


def schema(place: Place) -> None:
    shape = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert json.loads(tell(place, output_config=shape).content[0].text) == CITY


def images(place: Place) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    assert "picture" in tell(place, messages=[{"role": "user", "content": content}]).content[0].text


def stop(place: Place) -> None:
    answer = tell(place, stop_sequences=[place.stop])
    assert "".join(block.text for block in answer.content) == place.answer.split(place.stop)[0]


def reasoning(place: Place) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = tell(place, thinking=thinking, max_tokens=2000, temperature=None)
    assert any(block.type == "thinking" and block.thinking for block in answer.content), "no thoughts"


def signatures(place: Place) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = tell(place, thinking=thinking, max_tokens=2000, temperature=None)
    wanted = {"model": place.model, "messages": place.asked, "max_tokens": 2000, "thinking": thinking}
    with place.claude.messages.stream(**wanted) as stream:
        streamed = stream.get_final_message()
    for said in (answer, streamed):
        assert any(block.type == "thinking" and block.signature for block in said.content), "not signed"
        turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in said.content]}
        assert tell(place, messages=[*place.asked, turn, *place.asked], temperature=None).content


def caching(place: Place) -> None:
    marked = {"type": "text", "text": f"Know this: {place.question}", "cache_control": {"type": "ephemeral"}}
    first, second = (tell(place, system=[marked]).usage for _ in range(2))
    assert first.cache_creation_input_tokens and second.cache_read_input_tokens


def usage(place: Place) -> None:
    events = list(tell(place, stream=True))
    last = next(event for event in events if event.type == "message_delta")
    assert last.usage.output_tokens > 0 and events[-1].type == "message_stop"


def cancel(place: Place) -> None:
    gone = place.leaving()
    extra = {k: v for k, v in place.long.items() if k != "max_tokens"}
    limit = place.long.get("max_tokens", 60)
    with tell(place, stream=True, messages=place.waiting, max_tokens=limit, extra_body=extra) as stream:
        next(iter(stream))
    until(gone, 30, "the backend to stop")


def errors(place: Place) -> None:
    refused(anthropic.NotFoundError, 404, lambda: tell(place, model="no/such"))
    refused(anthropic.BadRequestError, 400, lambda: tell(place, temperature=99))
    with stranger(place) as wrong:
        refused(anthropic.AuthenticationError, 401, lambda: tell(wrong))
    try:
        tell(place, messages=[])
    except anthropic.BadRequestError as error:
        assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error"


def count(place: Place) -> None:
    assert place.claude.messages.count_tokens(model=place.model, messages=place.asked).input_tokens > 3
