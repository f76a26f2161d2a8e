"""Checks of what the server promises around the text: JSON by a schema, calls of tools, logprobs, the same again."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.answers import Answer, Mark, failed, of, passed, quoted
from gauntlet.cases import Case

NEARLY_ONE = 1e-4
"""Logprobs are computed in 32 bits: that of a sure token may come out a little above 0."""


def fits(case: Case, answers: Sequence[Answer]) -> Mark:
    """The answer is JSON that fits the schema."""
    from jsonschema import Draft202012Validator  # a tenth of a second, and few cases need it

    try:
        value = json.loads(answers[0].said)
    except ValueError as error:
        return failed(f"{quoted(answers[0].said)} is not JSON: {error}.")
    for error in Draft202012Validator(case.schema).iter_errors(value):
        where = "".join(f"[{part!r}]" for part in error.absolute_path) or "it"
        return failed(f"The JSON does not fit the schema: {where}: {quoted(error.message, 120)}.")
    return passed("The answer is JSON that fits the schema.")


def tool(case: Case, answers: Sequence[Answer]) -> Mark:
    """Each answer calls the right tool once, with these arguments at least; with no `call` in the case, none."""
    for answer in answers:
        if fault := _call_fault(case.call, answer):
            return failed(fault)
    return passed(f"It calls {case.call['name']} as it should." if case.call else "It calls no tool, rightly.")


def _call_fault(wanted: Mapping[str, Any] | None, answer: Answer) -> str:
    how = " in the stream" if answer.streamed else ""
    names = [call["name"] for call in answer.tool_calls]
    if wanted is None:
        return f"It calls {', '.join(names)}{how}, though no tool helps here." if names else ""
    if not names:
        return f"It calls no tool{how}, but says {quoted(answer.said)}."
    if names != [wanted["name"]]:
        return f"It calls {', '.join(names)}{how} instead of {wanted['name']} once."
    said = answer.tool_calls[0]["arguments"]
    try:
        arguments = json.loads(said)
    except ValueError:
        return f"The arguments of its call{how} are not JSON: {quoted(said)}."
    if not isinstance(arguments, dict):
        return f"The arguments of its call{how} are no object: {quoted(said)}."
    for key, value in wanted.get("arguments", {}).items():
        if not _alike(arguments.get(key), value):
            return f"It calls {wanted['name']}{how} with {key} = {arguments.get(key)!r} instead of {value!r}."
    return ""


def _alike(said: Any, right: Any) -> bool:
    if isinstance(said, str) and isinstance(right, str):
        return said.strip().casefold() == right.strip().casefold()
    return said == right


def logprobs(case: Case, answers: Sequence[Answer]) -> Mark:
    """One for each token, none above 0."""
    answer = answers[0]
    if not answer.logprobs:
        return failed("No logprobs came, though they were asked for.")
    # the end token may be counted and not shown
    if not answer.completion_tokens - 1 <= len(answer.logprobs) <= answer.completion_tokens:
        return failed(f"{len(answer.logprobs)} logprobs came for {answer.completion_tokens} tokens.")
    wrong = [value for value in answer.logprobs if not (math.isfinite(value) and value <= NEARLY_ONE)]
    if wrong:
        return failed(f"{wrong[0]!r} is no logarithm of a probability.")
    return passed(f"{len(answer.logprobs)} tokens came with their logprobs.")


def again(case: Case, answers: Sequence[Answer]) -> Mark:
    """At temperature 0, asked alone, it says the same three times."""
    first = answers[0]
    for other in of(answers, "again"):
        if other.text != first.text:
            return failed(f"Asked again it says {quoted(other.text)}, at first {quoted(first.text)}.")
    return passed("Asked three times, it says the same.")


def together(case: Case, answers: Sequence[Answer]) -> Mark:
    """Many at once give what one gives. In substance: engines promise the same words only for the same batch."""
    first, burst = answers[0], of(answers, "together")
    for other in burst:
        if _plain(other.said) != _plain(first.said):
            return failed(f"One of {len(burst)} at once says {quoted(other.said)}, alone it says {quoted(first.said)}.")
    return passed(f"{len(burst)} at once say what one says.")


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(" \t\n\"'`*.!“”").split())
