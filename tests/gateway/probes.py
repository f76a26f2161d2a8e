"""What each client asks of each backend, feature by feature. A probe returns when the feature works, raises the
client's own error when it is refused, and AssertionError when it is silently missing."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import httpx
import openai
from click.testing import CliRunner

from tests.waiting import until

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Brno"]}},
    "required": ["city"],
    "additionalProperties": False,
}
CITY = {"city": "Brno"}
LONG = {"ignore_eos": True, "max_tokens": 400}


@dataclass
class Place:
    """A model behind the gateway, and what is known of it. `gone` says whether the backend has stopped working for a
    caller that hung up; `reached` whether a field arrived there, None: nobody can see."""

    url: str
    key: str
    model: str
    question: str
    answer: str
    stop: str
    gone: Callable[[], bool]
    reached: Callable[[str], bool] | None = None
    long: dict = field(default_factory=dict)
    folder: Path = Path()

    @property
    def chat(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=60)

    @property
    def claude(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0, timeout=60)

    @property
    def asked(self) -> list[dict]:
        return [{"role": "user", "content": self.question}]

    @property
    def waiting(self) -> list[dict]:
        return [{"role": "user", "content": f"{self.question} But wait."}]


# OpenAI's SDK, chat completions -------------------------------------------------------------------------------------

CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": SCHEMA}}
CHAT_FORCED = {"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}}
CHAT_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
CHAT_SHAPE = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


def ask(place: Place, **more: object) -> openai.types.chat.ChatCompletion:
    return place.chat.chat.completions.create(
        **{"model": place.model, "messages": place.asked, "max_tokens": 60, "temperature": 0, **more}
    )


def chat_answer(place: Place) -> None:
    answer = ask(place)
    assert (answer.model, answer.choices[0].message.content) == (place.model, place.answer)
    assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens > 0


def chat_stream(place: Place) -> None:
    chunks = list(ask(place, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == place.answer
    assert len(chunks) > 2 and all(c.usage is None for c in chunks)


def chat_tools(place: Place) -> None:
    calls = ask(place, **CHAT_FORCED).choices[0].message.tool_calls or []
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [("weather", CITY)]
    name, said = "", ""
    for chunk in ask(place, stream=True, **CHAT_FORCED):
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            name, said = name or call.function.name, said + (call.function.arguments or "")
    assert (name, json.loads(said)) == ("weather", CITY)


def chat_schema(place: Place) -> None:
    assert json.loads(ask(place, response_format=CHAT_SHAPE).choices[0].message.content or "") == CITY


def chat_images(place: Place) -> None:
    content = [{"type": "text", "text": "What is this?"}, CHAT_PICTURE]
    said = ask(place, messages=[{"role": "user", "content": content}]).choices[0].message.content
    assert "picture" in said


def chat_logprobs(place: Place) -> None:
    choice = ask(place, logprobs=True).choices[0]
    assert choice.logprobs is not None and choice.logprobs.content[0].logprob <= 0


def chat_n(place: Place) -> None:
    assert len(ask(place, n=2, temperature=0.5).choices) == 2


def chat_stop(place: Place) -> None:
    said = ask(place, stop=[place.stop]).choices[0].message.content
    assert said == place.answer.split(place.stop)[0]


def chat_seed(place: Place) -> None:
    assert len({ask(place, seed=7, temperature=1).choices[0].message.content for _ in range(2)}) == 1
    assert place.reached is None or place.reached("seed"), "dropped on the way"


def chat_reasoning(place: Place) -> None:
    answer = ask(place, reasoning_effort="low", max_tokens=2000, temperature=openai.omit)
    message = answer.choices[0].message
    details = answer.usage.completion_tokens_details
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    assert thought or (details is not None and details.reasoning_tokens), "no thoughts"


def chat_usage(place: Place) -> None:
    last = list(ask(place, stream=True, stream_options={"include_usage": True}))[-1]
    assert last.choices == [] and last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0


def chat_cancel(place: Place) -> None:
    extra = {"max_tokens": place.long.get("max_tokens", 60), "extra_body": place.long}
    with ask(place, stream=True, messages=place.waiting, **extra) as stream:
        next(iter(stream))
    until(place.gone, 30, "the backend to stop")


def chat_errors(place: Place) -> None:
    _refused(openai.NotFoundError, 404, lambda: ask(place, model="no/such"))
    _refused(openai.BadRequestError, 400, lambda: ask(place, temperature=99))
    _refused(openai.BadRequestError, 400, lambda: ask(place, messages=[]))
    wrong = Place(**{**vars(place), "key": "dz-wrong"})
    _refused(openai.AuthenticationError, 401, lambda: ask(wrong))


def _refused(kind: type[Exception], status: int, asks: Callable[[], object]) -> None:
    try:
        asks()
    except kind as error:
        assert error.status_code == status and len(str(error)) > 20
    else:
        raise AssertionError(f"not refused with {status}")


# OpenAI's SDK, responses --------------------------------------------------------------------------------------------

RESPONSE_TOOL = {"type": "function", "name": "weather", "description": "Now", "parameters": SCHEMA, "strict": True}
RESPONSE_FORCED = {"tools": [RESPONSE_TOOL], "tool_choice": {"type": "function", "name": "weather"}}
RESPONSE_SHAPE = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}


def respond(place: Place, **more: object) -> openai.types.responses.Response:
    return place.chat.responses.create(
        **{"model": place.model, "input": place.question, "max_output_tokens": 60, "temperature": 0, **more}
    )


def response_answer(place: Place) -> None:
    answer = respond(place)
    assert (answer.model, answer.output_text, answer.status) == (place.model, place.answer, "completed")
    assert answer.usage.output_tokens > 0 and answer.store is not True


def response_stream(place: Place) -> None:
    events = list(respond(place, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == place.answer
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert (events[-1].response.model, events[-1].response.output_text) == (place.model, place.answer)
    assert [e.sequence_number for e in events] == list(range(len(events)))


def response_tools(place: Place) -> None:
    calls = [item for item in respond(place, **RESPONSE_FORCED).output if item.type == "function_call"]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [("weather", CITY)]
    last = list(respond(place, stream=True, **RESPONSE_FORCED))[-1]
    calls = [item for item in last.response.output if item.type == "function_call"]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [("weather", CITY)]


def response_schema(place: Place) -> None:
    assert json.loads(respond(place, text=RESPONSE_SHAPE).output_text) == CITY


def response_images(place: Place) -> None:
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}
    content = [{"type": "input_text", "text": "What is this?"}, picture]
    assert "picture" in respond(place, input=[{"role": "user", "content": content}]).output_text


def response_logprobs(place: Place) -> None:
    answer = respond(place, include=["message.output_text.logprobs"], top_logprobs=1)
    assert answer.output[-1].content[0].logprobs[0].logprob <= 0


def response_usage(place: Place) -> None:
    last = list(respond(place, stream=True))[-1]
    assert last.response.usage.input_tokens > 0 and last.response.usage.output_tokens > 0


def response_cancel(place: Place) -> None:
    extra = {"max_output_tokens": place.long.get("max_tokens", 60)}
    extra["extra_body"] = {name: value for name, value in place.long.items() if name != "max_tokens"}
    with respond(place, stream=True, input=place.waiting, **extra) as stream:
        next(iter(stream))
    until(place.gone, 30, "the backend to stop")


def response_errors(place: Place) -> None:
    _refused(openai.NotFoundError, 404, lambda: respond(place, model="no/such"))
    _refused(openai.BadRequestError, 400, lambda: respond(place, temperature=99))
    _refused(openai.BadRequestError, 400, lambda: respond(place, previous_response_id="resp_1"))


# Anthropic's SDK ----------------------------------------------------------------------------------------------------

CLAUDE_TOOL = {"name": "weather", "description": "Now", "input_schema": SCHEMA}
CLAUDE_FORCED = {"tools": [CLAUDE_TOOL], "tool_choice": {"type": "tool", "name": "weather"}}


def tell(place: Place, **more: object) -> anthropic.types.Message:
    wanted = {"model": place.model, "messages": place.asked, "max_tokens": 60, "temperature": 0, **more}
    extra = {"temperature": wanted.pop("temperature")}  # newer models of theirs take none, so their SDK doesn't either
    extra |= wanted.pop("extra_body", {})
    return place.claude.messages.create(**wanted, extra_body={k: v for k, v in extra.items() if v is not None})


def claude_answer(place: Place) -> None:
    answer = tell(place)
    assert (answer.model, answer.content[0].text) == (place.model, place.answer)
    assert answer.stop_reason == "end_turn" and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def claude_stream(place: Place) -> None:
    wanted = {"model": place.model, "messages": place.asked, "max_tokens": 60}
    with place.claude.messages.stream(**wanted, extra_body={"temperature": 0}) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == place.answer and len(pieces) > 1
    assert (answer.model, answer.content[0].text, answer.stop_reason) == (place.model, place.answer, "end_turn")


def claude_tools(place: Place) -> None:
    answer = tell(place, **CLAUDE_FORCED)
    used = [block for block in answer.content if block.type == "tool_use"]
    assert [(b.name, b.input) for b in used] == [("weather", CITY)] and answer.stop_reason == "tool_use"
    with place.claude.messages.stream(
        model=place.model, messages=place.asked, max_tokens=60, **CLAUDE_FORCED
    ) as stream:
        answer = stream.get_final_message()
    used = [block for block in answer.content if block.type == "tool_use"]
    assert [(b.name, b.input) for b in used] == [("weather", CITY)] and answer.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": used[0].id, "content": "rain"}
    said = [*place.asked, {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in used]}]
    said.append({"role": "user", "content": [result]})
    assert tell(place, messages=said, tools=[CLAUDE_TOOL]).content


def claude_schema(place: Place) -> None:
    shape = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert json.loads(tell(place, output_config=shape).content[0].text) == CITY


def claude_images(place: Place) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    assert "picture" in tell(place, messages=[{"role": "user", "content": content}]).content[0].text


def claude_stop(place: Place) -> None:
    answer = tell(place, stop_sequences=[place.stop])
    assert "".join(block.text for block in answer.content) == place.answer.split(place.stop)[0]


def claude_reasoning(place: Place) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = tell(place, thinking=thinking, max_tokens=2000, temperature=None)
    assert any(block.type == "thinking" and block.thinking for block in answer.content), "no thoughts"


def claude_usage(place: Place) -> None:
    events = list(tell(place, stream=True))
    last = next(event for event in events if event.type == "message_delta")
    assert last.usage.output_tokens > 0 and events[-1].type == "message_stop"


def claude_cancel(place: Place) -> None:
    extra = {k: v for k, v in place.long.items() if k != "max_tokens"}
    limit = place.long.get("max_tokens", 60)
    with tell(place, stream=True, messages=place.waiting, max_tokens=limit, extra_body=extra) as stream:
        next(iter(stream))
    until(place.gone, 30, "the backend to stop")


def claude_errors(place: Place) -> None:
    _refused(anthropic.NotFoundError, 404, lambda: tell(place, model="no/such"))
    _refused(anthropic.BadRequestError, 400, lambda: tell(place, temperature=99))
    wrong = Place(**{**vars(place), "key": "dz-wrong"})
    _refused(anthropic.AuthenticationError, 401, lambda: tell(wrong))
    try:
        tell(place, messages=[])
    except anthropic.BadRequestError as error:
        assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error"


def claude_count(place: Place) -> None:
    assert place.claude.messages.count_tokens(model=place.model, messages=place.asked).input_tokens > 3


# curl and llm -------------------------------------------------------------------------------------------------------


def curl(place: Place, path: str, body: dict) -> tuple[int, str]:
    """(status, body), by the real curl; the key comes from a file, as it should."""
    config = place.folder / "curl.conf"
    config.write_text(f'header = "Authorization: Bearer {place.key}"\n')
    argv = ["curl", "-sS", "-K", config, "--max-time", "60", "-w", "\n%{http_code}", f"{place.url}{path}"]
    argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    said, _, status = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), said


def curl_answer(place: Place) -> None:
    body = {"model": place.model, "messages": place.asked, "temperature": 0}
    status, said = curl(place, "/v1/chat/completions", body)
    assert status == 200 and json.loads(said)["choices"][0]["message"]["content"] == place.answer


def curl_stream(place: Place) -> None:
    body = {"model": place.model, "messages": place.asked, "temperature": 0, "stream": True}
    status, said = curl(place, "/v1/chat/completions", body)
    events = [line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")]
    text = "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in events[:-1])
    assert (status, text, events[-1]) == (200, place.answer, "[DONE]")


def curl_errors(place: Place) -> None:
    status, said = curl(place, "/v1/chat/completions", {"model": "no/such", "messages": place.asked})
    assert status == 404 and json.loads(said)["error"]["code"] == "model_not_found"
    status, said = curl(place, "/v1/messages", {"model": place.model, "messages": place.asked})
    assert status == 400 and json.loads(said)["type"] == "error"


def run_llm(place: Place, *arguments: str) -> str:
    """Simon Willison's `llm` with the gateway in its extra-openai-models.yaml."""
    folder = place.folder / "llm"
    folder.mkdir(exist_ok=True)
    entry = {"model_id": "ours", "model_name": place.model, "api_base": f"{place.url}/v1", "api_key_name": "ours"}
    entry |= {"supports_schema": True, "supports_tools": True, "vision": True}
    (folder / "extra-openai-models.yaml").write_text(json.dumps([entry]))
    (folder / "keys.json").write_text(json.dumps({"ours": place.key}))
    env = {"LLM_USER_PATH": str(folder), "PATH": os.environ["PATH"]}
    from llm.cli import cli

    done = CliRunner(env=env).invoke(cli, ["-m", "ours", "-o", "temperature", "0", *arguments])
    if done.exit_code:
        raise AssertionError(done.output[-300:])
    return done.output


def llm_answer(place: Place) -> None:
    assert run_llm(place, "--no-stream", place.question).strip() == place.answer


def llm_stream(place: Place) -> None:
    assert run_llm(place, place.question).strip() == place.answer


def llm_schema(place: Place) -> None:
    assert json.loads(run_llm(place, "--no-stream", "--schema", json.dumps(SCHEMA), place.question)) == CITY


def llm_seed(place: Place) -> None:
    assert run_llm(place, "--no-stream", "-o", "seed", "7", place.question).strip() == place.answer
    assert place.reached is None or place.reached("seed"), "dropped on the way"


PROBES: dict[str, dict[str, Callable[[Place], None]]] = {
    "openai, chat": {
        "answer": chat_answer,
        "streaming": chat_stream,
        "tools": chat_tools,
        "JSON schema": chat_schema,
        "images": chat_images,
        "logprobs": chat_logprobs,
        "n": chat_n,
        "stop": chat_stop,
        "seed": chat_seed,
        "reasoning": chat_reasoning,
        "usage in the stream": chat_usage,
        "cancellation": chat_cancel,
        "errors": chat_errors,
    },
    "openai, responses": {
        "answer": response_answer,
        "streaming": response_stream,
        "tools": response_tools,
        "JSON schema": response_schema,
        "images": response_images,
        "logprobs": response_logprobs,
        "usage in the stream": response_usage,
        "cancellation": response_cancel,
        "errors": response_errors,
    },
    "anthropic": {
        "answer": claude_answer,
        "streaming": claude_stream,
        "tools": claude_tools,
        "JSON schema": claude_schema,
        "images": claude_images,
        "stop": claude_stop,
        "reasoning": claude_reasoning,
        "usage in the stream": claude_usage,
        "cancellation": claude_cancel,
        "errors": claude_errors,
        "counting tokens": claude_count,
    },
    "llm": {"answer": llm_answer, "streaming": llm_stream, "JSON schema": llm_schema, "seed": llm_seed},
    "curl": {"answer": curl_answer, "streaming": curl_stream, "errors": curl_errors},
}

REFUSED = (openai.BadRequestError, anthropic.BadRequestError)


def outcome(probe: Callable[[Place], None], place: Place) -> tuple[str, str]:
    """(the cell in the table, why)"""
    try:
        probe(place)
    except REFUSED as error:
        return "refused", str(error)
    except (AssertionError, openai.APIError, anthropic.APIError, httpx.HTTPError, KeyError, TypeError, ValueError,
            AttributeError, IndexError) as error:  # fmt: skip
        return "no", f"{type(error).__name__}: {error}"
    return "yes", ""
