"""`transformers serve`, made to look like everybody else. Chosen by routes.engine == "transformers".

Its quirks: it is pinned to one model path and calls it path@main; it answers 422 to fields it doesn't know and 500 to
an empty logit_bias; it ignores max_completion_tokens; prompt must be one string; it leaves the stop text in the answer;
its streams carry usage in the last chunk, unasked, and end without [DONE]; an error inside a stream is a bare string.
"""

from gateway.call import CHAT, TEXT, Call
from gateway.errors import ApiError, backend_trouble, bad_request
from gateway.wire import DONE, JSON, LONGEST_EVENT, SAMPLE, Garbage, dumps, loads, parse_event, split, to_event

COMMON = frozenset("model stream max_tokens temperature top_p seed stop frequency_penalty logit_bias".split())
KNOWN = {CHAT: COMMON | {"messages", "tools", "chat_template_kwargs"}, TEXT: COMMON | {"prompt", "suffix"}}


class TransformersWire:
    content_type = ""
    answer_type = JSON

    def __init__(self, call: Call, backend_model: str):
        self._call = call
        self._backend_model = backend_model
        self._stops = _stops(call.body.get("stop"))
        self._cutter = StopCutter(self._stops)
        self._carry = b""
        self._usage: dict | None = None
        self._shape: dict = {}
        self.done = False
        self.broken = False
        self.chunks = 0
        self.sample: list[bytes] = []
        self.sampled = 0
        self._room = SAMPLE

    def request(self) -> bytes:
        body = self._call.body
        if (body.get("n") or 1) != 1:
            raise bad_request("This model's engine gives one answer a request. Leave out `n` and ask several times.")
        sent = {key: value for key, value in body.items() if key in KNOWN[self._call.kind] and value is not None}
        sent["model"] = self._backend_model
        if sent.get("max_tokens") is None and body.get("max_completion_tokens") is not None:
            sent["max_tokens"] = body["max_completion_tokens"]
        if not sent.get("logit_bias"):
            sent.pop("logit_bias", None)
        if not self._stops:
            sent.pop("stop", None)
        _refuse_what_it_ignores(body)
        prompt = sent.get("prompt")
        if isinstance(prompt, list):
            if len(prompt) != 1 or not isinstance(prompt[0], str):
                raise bad_request("This model's engine takes one prompt as one string. Send several requests.")
            sent["prompt"] = prompt[0]
        return dumps(sent)

    def whole(self, payload: bytes) -> bytes:
        answer = loads(payload)
        self._call.count(answer.get("usage"))
        answer["model"] = self._call.asked
        for choice in answer.get("choices") or ():
            holder, name = _text_of(choice, "message")
            if isinstance(holder.get(name), str):
                cutter = StopCutter(self._stops)
                holder[name] = cutter.feed(holder[name]) + cutter.flush()
                _name_the_stop(choice, cutter)
            if holder is not choice:
                holder.setdefault("content", None)
        return dumps(answer)

    def feed(self, data: bytes) -> bytes:
        data = self._carry + data
        events = split(data)
        self._carry = data[sum(map(len, events)) :]
        if len(self._carry) > LONGEST_EVENT:
            raise Garbage("an event without an end")
        return b"".join(self._event(event) for event in events)

    def _event(self, event: bytes) -> bytes:
        chunk = parse_event(event)
        if chunk is None or self.done:
            return b""
        if "error" in chunk:
            self.broken = True
            return _error(chunk["error"]).event()
        self.chunks += 1
        if self._room > 0:
            self.sample.append(event)
            self.sampled, self._room = self.chunks, self._room - len(event)
        self._usage = chunk.pop("usage", None) or self._usage
        chunk["model"] = self._call.asked
        self._shape = {key: value for key, value in chunk.items() if key != "choices"}
        worth = [self._edit(choice) for choice in chunk.get("choices") or ()]
        return to_event(chunk) if any(worth) else b""

    def _edit(self, choice: dict) -> bool:
        """Cut the choice's text at a stop string. False: nothing is left that is worth an event."""
        holder, name = _text_of(choice, "delta")
        ending = choice.setdefault("finish_reason", None) is not None
        if ending or isinstance(holder.get(name), str):
            shown = self._cutter.feed(holder.get(name) or "") + (self._cutter.flush() if ending else "")
            if shown or name == "text":
                holder[name] = shown
            else:
                holder.pop(name, None)
        if ending:
            _name_the_stop(choice, self._cutter)
        self.done = self.done or ending
        return ending or bool(holder["text"] if name == "text" else holder)

    def end(self) -> bytes:
        self._call.count(self._usage)
        if self._call.wants_usage and self._usage is not None:
            return to_event({**self._shape, "choices": [], "usage": self._usage}) + DONE
        return DONE


class StopCutter:
    """Text in pieces, cut before the first stop string; holds back what might be the beginning of one."""

    def __init__(self, stops: tuple[str, ...]):
        self._stops = stops
        self.stop = ""  # the one that was found
        self._held = ""
        self._cut = False

    def feed(self, text: str) -> str:
        if not self._stops:
            return text
        if self._cut:
            return ""
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.stop = min(found)
            self._cut, self._held = True, ""
            return text[:at]
        longest = max(map(len, self._stops)) - 1
        keep = next(
            (n for n in range(min(longest, len(text)), 0, -1) if any(s.startswith(text[-n:]) for s in self._stops)), 0
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def _name_the_stop(choice: dict, cutter: StopCutter) -> None:
    """As vLLM does: which text ended it."""
    if cutter.stop:
        choice["finish_reason"], choice["stop_reason"] = "stop", cutter.stop


def _text_of(choice: dict, name: str) -> tuple[dict, str]:
    """Where a choice keeps its text: in its message or delta (chat), or in itself (completions)."""
    inner = choice.get(name)
    return (inner, "content") if isinstance(inner, dict) else (choice, "text")


def _stops(stop: object) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(one for one in stops if isinstance(one, str) and one)


def _refuse_what_it_ignores(body: dict) -> None:
    """What the engine would drop without a word although the answer depends on it, and numbers out of their range."""
    shape, choice = body.get("response_format"), body.get("tool_choice")
    if isinstance(shape, dict) and shape.get("type") not in (None, "text"):
        raise _no("can't be held to a schema", "response_format")
    if isinstance(choice, dict) or choice == "required":
        raise _no("can't be made to call a tool", "tool_choice")
    if body.get("logprobs"):
        raise _no("gives no logprobs", "logprobs")
    for name, least, most in (("temperature", 0, 2), ("top_p", 0, 1)):
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and least <= value <= most):
            raise bad_request(f"`{name}` must be between {least} and {most}.")


def _no(what: str, name: str) -> ApiError:
    return bad_request(f"This model's engine {what}. Leave out `{name}`, or call another model.", "unsupported")


def _error(error: object) -> ApiError:
    said = error.get("message") if isinstance(error, dict) else error
    return backend_trouble(f"The model's engine stopped: {str(said)[:300]}. Try again.")
