"""How many tokens a call may need, before anybody knows. Too much is given back within the call's own time."""

from collections.abc import Mapping

ASSUMED_ANSWER = 1024
"""Tokens of an answer whose caller sets no bound."""

LETTERS_A_TOKEN = 4
SMALL = 2**13
PICTURE = 1000
"""Tokens of a picture, a sound or a file, whatever its bytes."""

BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def answer_tokens(body: Mapping[str, object]) -> int:
    bound = next((body[name] for name in BOUNDS if _is_count(body.get(name))), ASSUMED_ANSWER)
    many = body.get("n")
    return bound * (many if _is_count(many) and 1 <= many <= 128 else 1)


def prompt_tokens(body: Mapping[str, object], size: int = 0) -> int:
    """By the letters of all texts in the body; by the bytes of the request, where it is too small for a picture."""
    if 0 < size < SMALL:
        return size // LETTERS_A_TOKEN + 1
    letters = things = 0
    waiting: list[object] = list(body.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) > 1000 and (value.startswith("data:") or " " not in value[:1000]):
                things += 1
            else:
                letters += len(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            if value and isinstance(value[0], int):  # a prompt in tokens
                things += len(value) / PICTURE
            else:
                waiting.extend(value)
    return letters // LETTERS_A_TOKEN + int(things * PICTURE) + 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
