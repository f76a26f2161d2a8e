"""What a server promises around the text: JSON by a schema, calls of tools, logprobs, and the same again."""

import json
from dataclasses import replace

import pytest

from gauntlet.answers import FAIL, PASS, Answer
from gauntlet.cases import Case
from gauntlet.checks import CHECKS
from gauntlet.client import request_of
from gauntlet.haystack import filled
from gauntlet.loads import describe_load, knee_of, steps_of

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
CALL = {"name": "weather", "arguments": {"city": "Paris"}}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def _case(**fields) -> Case:
    return Case(**{"id": "a-b", "messages": ({"role": "user", "content": "?"},), "checks": ("exact",), **fields})


def _called(*calls: tuple[str, str], streamed: bool = False) -> Answer:
    found = tuple({"name": name, "arguments": arguments} for name, arguments in calls)
    return Answer(text="", finish_reason="tool_calls", tool_calls=found, streamed=streamed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"n": 3}', ""),
        ('<think>Hm.</think>\n{"n": 3}', ""),
        ('```json\n{"n": 3}\n```', "is not JSON"),
        ('{"n": 3', "is not JSON"),
        ('{"n": "3"}', "['n']"),
        ("{}", "'n' is a required property"),
        ('{"n": 3, "m": 4}', "does not fit"),
    ],
)
def test_json_must_fit_the_schema(text: str, says: str):
    """The reason names the place."""
    mark = CHECKS["json"](_case(schema=SCHEMA), [Answer(text=text, finish_reason="stop")])
    assert (mark.grade == PASS) == (not says) and says in mark.reason


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([_called(("weather", '{"city": "Paris"}'))], ""),
        ([_called(("weather", '{"city": " paris ", "unit": "C"}'))], ""),
        ([_called(("weather", '{"city": "Rome"}'))], "with city = 'Rome' instead of 'Paris'"),
        ([_called(("weather", '{"city": '))], "are not JSON"),
        ([_called(("weather", "[]"))], "no object"),
        ([_called(("time", "{}"))], "calls time instead of weather"),
        ([_called(("weather", '{"city": "Paris"}'), ("weather", "{}"))], "instead of weather once"),
        ([Answer(text="It rains.", finish_reason="stop")], "calls no tool, but says “It rains.”"),
        ([_called(("weather", '{"city": "Paris"}')), _called(streamed=True)], "calls no tool in the stream"),
    ],
)
def test_the_right_tool_is_called_once(answers: list[Answer], says: str):
    """In every answer, the streamed one too; arguments that were not asked for are the model's business."""
    mark = CHECKS["tool"](_case(tools=(TOOL,), call=CALL), answers)
    assert (mark.grade == PASS) == (not says) and says in mark.reason


def test_no_tool_where_none_helps():
    """A case without a call wants none."""
    case = _case(tools=(TOOL,))
    assert CHECKS["tool"](case, [Answer(text="Hello.", finish_reason="stop")]).grade == PASS
    assert CHECKS["tool"](case, [_called(("weather", "{}"))]).grade == FAIL


@pytest.mark.parametrize(
    ("logprobs", "grade"),
    [
        ((-0.5, -0.1, 0.0), PASS),
        ((-0.5, -0.1), PASS),
        ((-0.5,), FAIL),
        ((), FAIL),
        ((-0.5, 0.7, -1.0), FAIL),
        ((float("nan"), -1.0, -1.0), FAIL),
    ],
)
def test_logprobs_are_logarithms_of_probabilities(logprobs: tuple[float, ...], grade: str):
    """One a token (the end token may be hidden), none above 0."""
    answer = Answer(text="a b", finish_reason="stop", completion_tokens=3, logprobs=logprobs)
    assert CHECKS["logprobs"](_case(), [answer]).grade == grade


def test_again_is_to_the_letter_and_together_in_substance():
    """Alone the same words; in a batch the same answer."""
    first = Answer(text="The answer is 4.", finish_reason="stop")
    same, other = replace(first, asked="again"), replace(first, text="The answer is four.", asked="again")
    assert CHECKS["again"](_case(), [first, same, same]).grade == PASS
    assert CHECKS["again"](_case(), [first, same, other]).grade == FAIL
    near = replace(first, text="the answer is 4", asked="together")
    far = replace(first, text="The answer is 5.", asked="together")
    assert CHECKS["together"](_case(), [first, near, near]).grade == PASS
    assert CHECKS["together"](_case(), [first, near, far]).grade == FAIL


def test_what_is_sent_for_tools_schema_and_logprobs():
    """OpenAI's own shapes, which every engine takes."""
    body = request_of("m", _case(tools=(TOOL,), schema=SCHEMA, checks=("logprobs",)))
    assert body["tools"] == [{"type": "function", "function": TOOL}] and body["logprobs"] is True
    assert body["response_format"]["json_schema"] == {"name": "a_b", "schema": SCHEMA, "strict": True}
    json.dumps(body)
    assert {"tools", "response_format", "logprobs"}.isdisjoint(request_of("m", _case()))


@pytest.mark.parametrize("context", [600, 4096, 131072])
@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_the_needle_lies_where_it_should_and_all_of_it_fits(context: int, depth: float):
    """The haystack fills its share of the context by a cautious count, and holds the needle once, at its depth."""
    content = "Read this:\n{haystack} The vault's code is 4471. {haystack}\nWhat is the vault's code?"
    case = filled(
        _case(messages=({"role": "user", "content": content},), needle={"fill": 0.8, "depth": depth}, max_tokens=16),
        context,
    )
    text = case.messages[0]["content"]
    assert text.count("4471") == 1 and "{haystack}" not in text and text.endswith("What is the vault's code?")
    assert len(text.split()) <= 0.8 * context / 1.3
    where = text.index("4471") / len(text)
    assert abs(where - depth) < 0.2 + 40 / len(text.split())
    assert filled(_case(), context) == _case()


def _load(rates: list[tuple[int, float]]) -> list[Answer]:
    """Two rounds a step; each answer has 100 tokens, and the step its tokens per second."""
    return [
        Answer(
            text="", finish_reason="stop", completion_tokens=100, first_token_s=0.1, total_s=at_once * 100 / rate,
            streamed=True, asked=f"load {at_once}",
        )
        for at_once, rate in rates
        for _ in range(2 * at_once)
    ]  # fmt: skip


def test_the_knee_is_where_more_callers_bring_no_more_tokens():
    """Rates, knee and price come out of the times as they went in."""
    steps = steps_of(_load([(1, 50), (2, 95), (4, 180), (8, 190)]))
    assert [step.at_once for step in steps] == [1, 2, 4, 8]
    assert [round(step.rate) for step in steps] == [50, 95, 180, 190]
    assert knee_of(steps).at_once == 4
    assert round(knee_of(steps).price(8, 2.5), 2) == round(8 * 2.5 / 3600 / 180 * 1e6, 2)
    assert "Most tokens with 4 at once: 180 tokens/s" in describe_load(steps)
    assert "Still rising with 2 at once" in describe_load(steps[:2])
    assert knee_of(()) is None and "Nothing" in describe_load(())
