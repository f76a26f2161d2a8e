"""What a backend says it used, in whichever dialect, as four counts."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Counts(NamedTuple):
    """`cached` (read from a cache) and `written` (into one) are among `prompt`, `reasoning` among `completion`; None:
    the backend doesn't say."""

    prompt: int
    completion: int
    cached: int | None = None
    reasoning: int | None = None
    written: int | None = None


def read(usage: object) -> Counts | None:
    """The counts in a `usage` object. One that says nonsense says nothing: None."""
    if not isinstance(usage, dict):
        return None
    written = None
    if "prompt_tokens" in usage:
        prompt, completion = usage["prompt_tokens"], usage.get("completion_tokens") or 0
        cached = _part(usage, "prompt_tokens_details", "cached_tokens")
        reasoning = _part(usage, "completion_tokens_details", "reasoning_tokens")
    elif "input_tokens" in usage:
        prompt, completion = usage["input_tokens"], usage.get("output_tokens") or 0
        cached = _part(usage, "input_tokens_details", "cached_tokens")
        reasoning = _part(usage, "output_tokens_details", "reasoning_tokens")
        apart = [usage.get(name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens")]
        if is_count(prompt) and any(apart):  # Anthropic counts them beside input_tokens
            prompt += sum(part for part in apart if is_count(part))
            cached = apart[0] if is_count(apart[0]) else cached
            written = apart[1] if is_count(apart[1]) else None
    else:
        prompt, completion, cached, reasoning = usage.get("total_tokens"), 0, None, None
    if not (is_count(prompt) and is_count(completion)):
        return None
    return Counts(prompt, completion, cached, reasoning, written)


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _part(usage: Mapping[str, Any], details: str, name: str) -> int | None:
    inner = usage.get(details)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if is_count(value) else None


def as_anthropic(usage: object) -> dict[str, int]:
    counts = read(usage) or Counts(0, 0)
    cached = counts.cached or 0
    return {
        "input_tokens": max(0, counts.prompt - cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": counts.completion,
    }


def as_responses(usage: object) -> dict[str, Any] | None:
    if (counts := read(usage)) is None:
        return None
    return {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cached or 0},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning or 0},
        "total_tokens": counts.prompt + counts.completion,
    }
