"""OpenAI's responses as a chat: what is asked.

The gateway keeps no conversations: a response that had to be remembered would live on one replica and die with it. So
what needs memory is refused with a sentence, for every backend alike.
"""

from collections.abc import Callable
from typing import Any

from gateway.errors import ApiError, bad_request

COPIED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "stream": "stream",
    "user": "user",
    "service_tier": "service_tier",
    "seed": "seed",
    "max_output_tokens": "max_completion_tokens",
}
STATE = {
    "previous_response_id": "Send the whole conversation in `input`",
    "conversation": "Send the whole conversation in `input`",
    "prompt": "Send its text in `instructions`",
}
LOGPROBS = "message.output_text.logprobs"

Item = dict[str, Any]


def check(body: Item) -> None:
    for name, instead in STATE.items():
        if body.get(name) is not None:
            raise bad_request(f"`{name}` needs a gateway that remembers, and this one doesn't. {instead}.", "stateless")
    if body.get("store") is True:
        sentence = "`store` can't be true: this gateway keeps no responses. Leave it out, or set it to false."
        raise bad_request(sentence, "stateless")
    if body.get("background"):
        raise bad_request("`background` can't be true: nothing is kept here to be fetched later. Stream.", "stateless")
    if not isinstance(body.get("input"), str | list) or not body["input"]:
        raise bad_request("The request has no `input`. Set it to a text or a list of messages.")


def request(body: Item) -> Item:
    """The same as the body of a chat completion."""
    chat: Item = {theirs: body[ours] for ours, theirs in COPIED.items() if body.get(ours) is not None}
    chat["messages"] = _messages(body)
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in _objects(body["tools"], "tools")]
    if (choice := body.get("tool_choice")) is not None:
        chat["tool_choice"] = _choice(choice)
    if LOGPROBS in (body.get("include") or ()) or body.get("top_logprobs"):
        chat["logprobs"] = True
    if isinstance(effort := (body.get("reasoning") or {}), dict) and effort.get("effort"):
        chat["reasoning_effort"] = effort["effort"]
    if isinstance(text := (body.get("text") or {}), dict) and isinstance(text.get("format"), dict):
        chat |= _format(text["format"])
    return chat


def _messages(body: Item) -> list[Item]:
    first = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    if isinstance(body["input"], str):
        return [*first, {"role": "user", "content": body["input"]}]
    messages = first
    for item in _objects(body["input"], "input"):
        kind = item.get("type") or "message"
        if kind not in ITEMS:
            raise _unknown(f"an input item of the type {str(kind)[:50]!r}")
        ITEMS[kind](item, messages)
    return messages


def _message(item: Item, messages: list[Item]) -> None:
    role = {"developer": "system"}.get(item.get("role") or "", item.get("role"))
    if role not in ("user", "assistant", "system"):
        raise bad_request("The `role` of an input message is user, assistant, system or developer.")
    content = item.get("content")
    if not isinstance(content, str):
        parts = [_part(part) for part in _objects(content or [], "content")]
        plain = all(part["type"] == "text" for part in parts)
        content = "\n".join(part["text"] for part in parts) if plain else parts
    messages.append({"role": role, "content": content})


def _call(item: Item, messages: list[Item]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":  # several calls, or words before a call: one turn
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _output(item: Item, messages: list[Item]) -> None:
    said = item.get("output")
    if isinstance(said, list):
        said = "\n".join(str(part.get("text") or "") for part in _objects(said, "output"))
    messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": said or ""})


def _reasoning(item: Item, messages: list[Item]) -> None:
    """What a model thought before is not told to it again."""


ITEMS: dict[str, Callable[[Item, list[Item]], None]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
}


def _part(part: Item) -> Item:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text", "refusal"):
        return {"type": "text", "text": str(part.get("text") or part.get("refusal") or "")}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    raise _unknown(f"content of the type {str(kind)[:50]!r}")


def _tool(tool: Item) -> Item:
    if tool.get("type") != "function":
        raise _unknown(f"the tool {str(tool.get('type'))[:50]!r}, which runs at the provider's")
    wanted = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in wanted if tool.get(name) is not None}}


def _choice(choice: object) -> object:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if choice in ("auto", "required", "none"):
        return choice
    raise _unknown("this `tool_choice`")


def _format(shape: Item) -> Item:
    if shape.get("type") == "json_schema":
        wanted = ("name", "schema", "strict", "description")
        schema = {name: shape[name] for name in wanted if shape.get(name) is not None}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}} if shape.get("type") == "json_object" else {}


def _objects(value: object, name: str) -> list[Item]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise bad_request(f"`{name}` must be a list of objects.")
    return value


def _unknown(what: str) -> ApiError:
    return bad_request(f"This model's engine does not take {what}. Leave it out, or call another model.", "unsupported")
