"""What came back from a model, and what a check says about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PASS, FAIL, UNSCORED, NOT_EVALUATED = "pass", "fail", "unscored", "not_evaluated"
GRADES = (PASS, FAIL, UNSCORED, NOT_EVALUATED)

_THINKING = re.compile(r"\s*<think>.*?(</think>\s*|\Z)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One completion. Times in seconds since the request was sent; `first_token_s` only when streamed."""

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None
    total_s: float = 0.0
    streamed: bool = False
    asked: str = ""  # which of a sample's requests it answers; empty: the plain one
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # {"name", "arguments"}, the arguments as the text that came
    logprobs: tuple[float, ...] = ()  # one a token, when they were asked for
    thinking: int = 0  # characters of reasoning that came apart from the answer

    @property
    def said(self) -> str:
        """The text without a leading <think> block, where the server does not part the two."""
        return _THINKING.sub("", self.text, count=1) if self.text.lstrip().startswith("<think>") else self.text

    @property
    def cut(self) -> bool:
        """Did max_tokens end it?"""
        return self.finish_reason == "length"

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))  # flat; asdict copies deeply, a fifth of the runner's time

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Answer":
        tuples = {"tool_calls", "logprobs"}
        return cls(**{key: tuple(value) if key in tuples else value for key, value in data.items()})


def of(answers: Sequence[Answer], asked: str) -> list[Answer]:
    """The answers to one kind of request."""
    return [answer for answer in answers if answer.asked == asked]


@dataclass(frozen=True)
class Mark:
    """A grade and why, in one plain sentence."""

    grade: str
    reason: str


def sound(text: str) -> str:
    """`text` as valid Unicode: JSON may carry half a surrogate pair, which no file and no page can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def passed(reason: str) -> Mark:
    return Mark(PASS, reason)


def failed(reason: str) -> Mark:
    return Mark(FAIL, reason)


def unscored(reason: str) -> Mark:
    return Mark(UNSCORED, reason)


def quoted(text: str, length: int = 60) -> str:
    """`text` on one line in quotation marks, shortened, for a reason."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= length else line[: length - 1] + '…'}”"
