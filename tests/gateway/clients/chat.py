"""OpenAI's SDK, chat completions."""

import json

import openai

from tests.gateway.clients.place import CITY, PIXEL, SCHEMA, Place, refused, stranger
from tests.waiting import until

CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": SCHEMA}}
CHAT_FORCED = {"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}}
CHAT_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
CHAT_SHAPE = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


def ask(place: Place, **more: object) -> openai.types.chat.ChatCompletion:
    return place.chat.chat.completions.create(
        **{"model": place.model, "messages": place.asked, "max_tokens": 60, "temperature": 0, **more}
    )


def answer(place: Place) -> None:
    answer = ask(place)
    assert (answer.model, answer.choices[0].message.content) == (place.model, place.answer)
    assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens > 0


def stream(place: Place) -> None:
    chunks = list(ask(place, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == place.answer
    assert len(chunks) > 2 and all(c.usage is None for c in chunks)


def tools(place: Place) -> None:
    calls = ask(place, **CHAT_FORCED).choices[0].message.tool_calls or []
    assert place.called([(c.function.name, json.loads(c.function.arguments)) for c in calls])
    name, said = "", ""
    for chunk in ask(place, stream=True, **CHAT_FORCED):
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            name, said = name or call.function.name, said + (call.function.arguments or "")
    assert place.called([(name, json.loads(said))])


def schema(place: Place) -> None:
    assert json.loads(ask(place, response_format=CHAT_SHAPE).choices[0].message.content or "") == CITY


def images(place: Place) -> None:
    content = [{"type": "text", "text": "What is this?"}, CHAT_PICTURE]
    said = ask(place, messages=[{"role": "user", "content": content}]).choices[0].message.content
    assert "picture" in said


def logprobs(place: Place) -> None:
    choice = ask(place, logprobs=True).choices[0]
    assert choice.logprobs is not None and choice.logprobs.content[0].logprob <= 0


def n(place: Place) -> None:
    assert len(ask(place, n=2, temperature=0.5).choices) == 2


def stop(place: Place) -> None:
    said = ask(place, stop=[place.stop]).choices[0].message.content
    assert said == place.answer.split(place.stop)[0]


def seed(place: Place) -> None:
    assert len({ask(place, seed=7, temperature=1).choices[0].message.content for _ in range(2)}) == 1
    assert place.reached is None or place.reached("seed"), "dropped on the way"


def reasoning(place: Place) -> None:
    answer = ask(place, reasoning_effort="low", max_tokens=2000, temperature=openai.omit)
    message = answer.choices[0].message
    details = answer.usage.completion_tokens_details
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    assert thought or (details is not None and details.reasoning_tokens), "no thoughts"


def usage(place: Place) -> None:
    last = list(ask(place, stream=True, stream_options={"include_usage": True}))[-1]
    assert last.choices == [] and last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0


def cancel(place: Place) -> None:
    gone = place.leaving()
    extra = {"max_tokens": place.long.get("max_tokens", 60), "extra_body": place.long}
    with ask(place, stream=True, messages=place.waiting, **extra) as stream:
        next(iter(stream))
    until(gone, 30, "the backend to stop")


def errors(place: Place) -> None:
    refused(openai.NotFoundError, 404, lambda: ask(place, model="no/such"))
    refused(openai.BadRequestError, 400, lambda: ask(place, temperature=99))
    refused(openai.BadRequestError, 400, lambda: ask(place, messages=[]))
    with stranger(place) as wrong:
        refused(openai.AuthenticationError, 401, lambda: ask(wrong))
