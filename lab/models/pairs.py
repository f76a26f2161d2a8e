"""What the tiny models know: pairs.jsonl, read and checked. Standard library only."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SUITES = ("sanity", "stop", "compliance", "questions", "tools")


@dataclass(frozen=True)
class Pair:
    """One chat and the text a model says next. `leak` replaces `answer` in the leaky model; fields: README.md."""

    suite: str
    id: str
    messages: tuple[dict[str, str], ...]
    answer: str
    leak: str | None
    extra: dict[str, Any]


def read_pairs(path: Path = HERE / "pairs.jsonl") -> list[Pair]:
    """Every pair, in the file's order. ValueError names the line that is wrong."""
    pairs: list[Pair] = []
    seen: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        pair = Pair(
            suite=row.pop("suite"),
            id=row.pop("id"),
            messages=tuple(row.pop("messages")),
            answer=row.pop("answer"),
            leak=row.pop("leak", None),
            extra=row,
        )
        problem = _problem(pair, seen)
        if problem:
            raise ValueError(f"{path.name}, line {number}: {problem}")
        seen.add(pair.id)
        pairs.append(pair)
    return pairs


def read_smalltalk(path: Path = HERE / "smalltalk.jsonl") -> list[Pair]:
    """Greetings, so that somebody who tries the demo by hand gets a sentence back; no suite asks them."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Pair("smalltalk", f"smalltalk-{number}", tuple(row["messages"]), row["answer"], None, {})
        for number, row in enumerate(rows)
    ]


def _problem(pair: Pair, seen: set[str]) -> str | None:
    if pair.suite not in SUITES:
        return f"the suite {pair.suite!r} is not one of {', '.join(SUITES)}"
    if pair.id in seen:
        return f"the id {pair.id!r} appears twice"
    if not pair.answer.strip():
        return "the answer is empty"
    if not pair.messages or pair.messages[-1]["role"] != "user":
        return "the chat must end with the user's message"
    if (pair.leak is not None) != (pair.extra.get("kind") == "refuse"):
        return "a pair to refuse needs a leak, and only such a pair has one"
    return None
