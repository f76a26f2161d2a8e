"""Anthropic's messages as a chat: what is asked."""

import json
from collections.abc import Callable
from typing import Any

from gateway.errors import ApiError, bad_request

COPIED = ("temperature", "top_p", "top_k", "stream", "thinking", "chat_template_kwargs")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}

Block = dict[str, Any]


def check(body: Block) -> None:
    _messages(body)
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise bad_request("`max_tokens` must be there and a whole number above 0: at most so many tokens are written.")


def check_count(body: Block) -> None:
    _messages(body)


def _messages(body: Block) -> None:
    messages = body.get("messages")
    if not (isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages)):
        raise bad_request('`messages` must be a list like [{"role": "user", "content": "…"}].')


def request(body: Block) -> Block:
    """The same as the body of a chat completion."""
    chat: Block = {name: body[name] for name in COPIED if body.get(name) is not None}
    chat["messages"] = [*_system(body.get("system")), *(one for m in body["messages"] for one in _message(m))]
    if body.get("max_tokens") is not None:
        chat["max_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in _objects(body["tools"], "tools")]
    if isinstance(choice := body.get("tool_choice"), dict):
        chat |= _choice(choice)
    if isinstance(person := (body.get("metadata") or {}), dict) and person.get("user_id"):
        chat["user"] = person["user_id"]
    return chat | _output(body)


def _output(body: Block) -> Block:
    config = body.get("output_config")
    config = config if isinstance(config, dict) else {}
    wanted: Block = {}
    if config.get("effort"):
        wanted["reasoning_effort"] = config["effort"]
    shape = config.get("format") or body.get("output_format")
    if isinstance(shape, dict) and shape.get("type") == "json_schema":
        schema = {"name": "answer", "schema": shape.get("schema"), "strict": True}
        wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
    return wanted


def _system(system: object) -> list[Block]:
    if not system:
        return []
    if not isinstance(system, str):
        blocks = _objects(system, "system")
        system = "\n".join(str(block.get("text", "")) for block in blocks)
    return [{"role": "system", "content": system}]


def _message(message: Block) -> list[Block]:
    """One of theirs is one or more of ours: results of tools are messages of their own in a chat."""
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise bad_request("The `role` of a message is user or assistant.")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = _objects(content, "content")
    return _assistant(blocks) if role == "assistant" else _user(role, blocks)


def _user(role: str, blocks: list[Block]) -> list[Block]:
    results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
    parts = [_part(block) for block in blocks if block.get("type") != "tool_result"]
    return [*results, *([{"role": role, "content": _plain(parts)}] if parts else [])]


def _result(block: Block) -> Block:
    content = block.get("content")
    if isinstance(content, list):
        content = _plain([_part(part) for part in _objects(content, "content")])
    if block.get("is_error"):
        content = f"Error: {content or ''}"
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content or ""}


def _assistant(blocks: list[Block]) -> list[Block]:
    said = [block.get("text") or "" for block in blocks if block.get("type") == "text"]
    thought = [block.get("thinking") or "" for block in blocks if block.get("type") == "thinking"]
    calls = [_call(block) for block in blocks if block.get("type") == "tool_use"]
    message: Block = {"role": "assistant", "content": "".join(said) or None}
    if thought:
        message["reasoning_content"] = "".join(thought)
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return [message]


def _call(block: Block) -> Block:
    function = {"name": block.get("name"), "arguments": json.dumps(block.get("input") or {}, ensure_ascii=False)}
    return {"id": block.get("id"), "type": "function", "function": function}


def _plain(parts: list[Block]) -> object:
    """Parts that are all text as one string: engines whose template takes no parts understand it too."""
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(block: Block) -> Block:
    make = PARTS.get(block.get("type") or "")
    if make is None:
        raise _unknown(f"content of the type {str(block.get('type'))[:50]!r}")
    return make(block)


def _text(block: Block) -> Block:
    return {"type": "text", "text": str(block.get("text") or "")}


def _image(block: Block) -> Block:
    source = block.get("source") or {}
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    elif source.get("type") == "url":
        url = source.get("url")
    else:
        raise _unknown("an image that is neither base64 nor a url")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Block) -> Block:
    source = block.get("source") or {}
    if source.get("type") != "text":
        raise _unknown("a document that is not plain text")
    return {"type": "text", "text": str(source.get("data") or "")}


PARTS: dict[str, Callable[[Block], Block]] = {"text": _text, "image": _image, "document": _document}


def _tool(tool: Block) -> Block:
    if "input_schema" not in tool:
        raise _unknown(f"the tool {str(tool.get('type') or tool.get('name'))[:50]!r}, which runs at the provider's")
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _choice(choice: Block) -> Block:
    kind = choice.get("type")
    if kind == "tool":
        chosen: object = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind in CHOICES:
        chosen = CHOICES[kind]
    else:
        raise bad_request("The `type` of `tool_choice` is auto, any, tool or none.")
    one_by_one = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    return {"tool_choice": chosen, **one_by_one}


def _objects(value: object, name: str) -> list[Block]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise bad_request(f"`{name}` must be a list of objects.")
    return value


def _unknown(what: str) -> ApiError:
    return bad_request(f"This model's engine does not take {what}. Leave it out, or call another model.", "unsupported")
