"""A scripted model that answers the shipped suites perfectly, and characters that break one thing each.

It knows the cases by their chats. A character gets the case and the perfect reply, and returns its own.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from gauntlet.cases import Case, Sample
from tests.gauntlet.answers_code import SOLUTIONS
from tests.gauntlet.backend import Backend, _event

PROSE = (
    "Lighthouses were built because ships sail at night. Their light told captains where the rocks were, and which "
    "harbour lay ahead. Keepers climbed the stairs each evening, trimmed the lamp, and wrote the weather into a book. "
    "When a storm broke a window they mended it before dark, for a town depended on them. Today many ships find their "
    "way by satellite, but the towers still stand on the coast, painted white and red. Some are museums, and others "
    "are small hotels with a very good view. Children who visit them ask the same question every time: who lived here, "
    "and was he not afraid? The guide smiles and tells a story about a keeper, his daughter, and a boat that came home."
)
GERMAN = (
    "Der Himmel ist blau, weil das Licht der Sonne an den Teilchen der Luft gestreut wird. Das ist einfach, und es "
    "wird in der Schule mit einem Glas Wasser und etwas Milch gezeigt, sodass auch die Kinder es verstehen und nicht "
    "mehr fragen müssen."
)
REFUSAL = "I'm sorry, but I can't help with that."
OBJECTS = {
    "json-person": {"name": "Ada Lovelace", "year": 1815, "city": "London"},
    "json-list": {"colours": ["red", "green", "blue"]},
    "json-choice": {"answer": "fruit"},
}
Reply = Mapping[str, Any]  # "text", and perhaps "calls", "delay_s", "endless"
Character = Callable[[Case, Reply], Reply]


def perfect(case: Case, reply: Reply) -> Reply:
    """Nothing is broken."""
    return reply


def answer_to(case: Case) -> Reply:
    """What passes all of the case's checks."""
    if case.call is not None:
        return {"text": "", "calls": [{"name": case.call["name"], "arguments": json.dumps(case.call["arguments"])}]}
    return {"text": _text(case)}


def _text(case: Case) -> str:
    checks = set(case.checks)
    if "code" in checks:
        return f"```python\n{SOLUTIONS[case.id][0]}```"
    if "json" in checks:
        return json.dumps(OBJECTS[case.id])
    if checks & {"refusal", "secret"} and "answered" not in checks:
        return REFUSAL
    if "length" in checks:
        return PROSE * 20
    if case.expected:
        return case.expected
    if "stop" in checks:
        return " ".join([*case.contains, *case.stop, *case.absent])
    said = ", ".join(case.contains)
    if "judged" in checks:
        return case.reference
    if checks & {"english", "answered", "better", "speed", "load"}:
        return f"{said}. {PROSE}" if said else PROSE
    return said or PROSE


class Oracle(Backend):
    """Serves `samples`, as a character would."""

    def __init__(self, samples: Iterable[Sample] = (), character: Character = perfect):
        super().__init__()
        self.know(samples)
        self._play = character

    def know(self, samples: Iterable[Sample]) -> None:
        """Learn the chats of a run; a chat that two suites ask has one answer."""
        self._cases = {json.dumps(list(sample.case.messages)): sample.case for sample in samples}

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        case = self._cases.get(json.dumps(body["messages"]))
        if case is None:  # the judge
            reply: Reply = {"text": self._judge(body["messages"][1]["content"])}
        else:
            reply = self._play(case, answer_to(case))
        await asyncio.sleep(reply.get("delay_s", 0))
        text, finish = str(reply["text"]), "tool_calls" if reply.get("calls") else "stop"
        if reply.get("endless"):
            text = f"{text} and more" * 2000
        for stop in body.get("stop", ()):
            if stop in text:
                text = text[: text.index(stop)]
        tokens = text.split(" ")
        if len(tokens) > body["max_tokens"]:
            tokens, finish = tokens[: body["max_tokens"]], "length"
            text = " ".join(tokens)
        usage = {"prompt_tokens": 5, "completion_tokens": len(tokens), "total_tokens": len(tokens) + 5}
        calls = [
            {"id": f"call-{n}", "type": "function", "index": n, "function": call}
            for n, call in enumerate(reply.get("calls", ()))
        ]
        message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
        if not body.get("stream"):
            choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "message": message}
            if body.get("logprobs"):
                choice["logprobs"] = {"content": [{"token": token, "logprob": -0.25} for token in tokens]}
            return web.json_response({"choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(_event({"choices": [{"delta": message, "finish_reason": None}]}))
        await response.write(_event({"choices": [{"delta": {}, "finish_reason": finish}]}))
        await response.write(_event({"choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")
        return response


def repeats(case: Case, reply: Reply) -> Reply:
    """Prose turns into a loop."""
    looping = len(reply["text"].split()) > 30 and "code" not in case.checks
    return {**reply, "text": "The keeper lit the lamp. " * 30} if looping else reply


def never_stops(case: Case, reply: Reply) -> Reply:
    """No end token: only max_tokens ends it. What is asked for comes first."""
    return {**reply, "endless": True} if "ends" in case.checks else reply


def leaks(case: Case, reply: Reply) -> Reply:
    """Tells what it was told to keep."""
    return {**reply, "text": f"Of course: {case.secret}."} if case.secret else reply


def helps(case: Case, reply: Reply) -> Reply:
    """Declines nothing."""
    return {**reply, "text": PROSE} if "refusal" in case.checks else reply


def refuses_everything(case: Case, reply: Reply) -> Reply:
    """Declines whatever sounds of money."""
    return {**reply, "text": REFUSAL} if "answered" in case.checks else reply


def wrong_language(case: Case, reply: Reply) -> Reply:
    """Writes German where it writes prose."""
    return {**reply, "text": GERMAN} if "english" in case.checks else reply


def template_debris(case: Case, reply: Reply) -> Reply:
    """Its chat template shines through."""
    return {**reply, "text": f"{reply['text']}<|im_end|>\n"} if "clean" in case.checks else reply


def drops_tool_calls(case: Case, reply: Reply) -> Reply:
    """Says what it would call, and calls nothing."""
    return {"text": "I would look up the weather."} if case.call is not None else reply


def slow(case: Case, reply: Reply) -> Reply:
    """Thinks long before its first word."""
    return {**reply, "delay_s": 2.5} if "speed" in case.checks else reply
