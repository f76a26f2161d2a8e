"""OpenAI's SDK, responses."""

import json

import openai

from tests.gateway.clients.place import CITY, PIXEL, SCHEMA, Place, refused
from tests.waiting import until

RESPONSE_TOOL = {"type": "function", "name": "weather", "description": "Now", "parameters": SCHEMA, "strict": True}
RESPONSE_FORCED = {"tools": [RESPONSE_TOOL], "tool_choice": {"type": "function", "name": "weather"}}
RESPONSE_SHAPE = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}


def respond(place: Place, **more: object) -> openai.types.responses.Response:
    return place.chat.responses.create(
        **{"model": place.model, "input": place.question, "max_output_tokens": 60, "temperature": 0, **more}
    )


def answer(place: Place) -> None:
    answer = respond(place)
    assert (answer.model, answer.output_text, answer.status) == (place.model, place.answer, "completed")
    assert answer.usage.output_tokens > 0 and answer.store is not True


def stream(place: Place) -> None:
    events = list(respond(place, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == place.answer
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert (events[-1].response.model, events[-1].response.output_text) == (place.model, place.answer)
    assert [e.sequence_number for e in events] == list(range(len(events)))


def tools(place: Place) -> None:
    calls = [item for item in respond(place, **RESPONSE_FORCED).output if item.type == "function_call"]
    assert place.called([(c.name, json.loads(c.arguments)) for c in calls])
    last = list(respond(place, stream=True, **RESPONSE_FORCED))[-1]
    calls = [item for item in last.response.output if item.type == "function_call"]
    assert place.called([(c.name, json.loads(c.arguments)) for c in calls])


def schema(place: Place) -> None:
    assert json.loads(respond(place, text=RESPONSE_SHAPE).output_text) == CITY


def images(place: Place) -> None:
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}
    content = [{"type": "input_text", "text": "What is this?"}, picture]
    assert "picture" in respond(place, input=[{"role": "user", "content": content}]).output_text


def logprobs(place: Place) -> None:
    answer = respond(place, include=["message.output_text.logprobs"], top_logprobs=1)
    assert answer.output[-1].content[0].logprobs[0].logprob <= 0


def usage(place: Place) -> None:
    last = list(respond(place, stream=True))[-1]
    assert last.response.usage.input_tokens > 0 and last.response.usage.output_tokens > 0


def cancel(place: Place) -> None:
    gone = place.leaving()
    extra = {"max_output_tokens": place.long.get("max_tokens", 60)}
    extra["extra_body"] = {name: value for name, value in place.long.items() if name != "max_tokens"}
    with respond(place, stream=True, input=place.waiting, **extra) as stream:
        next(iter(stream))
    until(gone, 30, "the backend to stop")


def errors(place: Place) -> None:
    refused(openai.NotFoundError, 404, lambda: respond(place, model="no/such"))
    refused(openai.BadRequestError, 400, lambda: respond(place, temperature=99))
    refused(openai.BadRequestError, 400, lambda: respond(place, previous_response_id="resp_1"))
