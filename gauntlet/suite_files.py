"""Suites as plain files: <folder>/<suite>/suite.toml and cases.jsonl. Adding a case is adding a line.

A mistake is answered with file, line and key. Keys: gauntlet/suites/README.md; tables below.
"""

import difflib
import json
import random
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gauntlet.cases import IMPORTANCES, Case, Suite
from lifecycle.errors import Permanent

SHIPPED = Path(__file__).parent / "suites"
LETTERS = "ABCDEFGH"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")

CASE_KEYS: dict[str, str] = {
    "id": "name",
    "prompt": "text",
    "system": "text",
    "messages": "chat",
    "checks": "texts",
    "category": "name",
    "max_tokens": "count",
    "temperature": "number",
    "stop": "texts",
    "expected": "text",
    "options": "options",
    "tolerance": "number",
    "contains": "texts",
    "absent": "texts",
    "secret": "text",
    "reference": "text",
    "min_words": "count",
    "first_token_within_s": "number",
    "tokens_per_s_at_least": "number",
    "parallel": "count",
    "schema": "table",
    "tools": "tools",
    "call": "call",
    "tests": "text",
    "needle": "needle",
    "source": "text",
    "reserve": "flag",
}
SUITE_KEYS: dict[str, str] = {
    "title": "text",
    "description": "text",
    "importance": "importance",
    "pass_rate": "share",
    "confidence": "share",
    "zero_tolerance": "texts",
    "category_pass_rate": "shares",
    "seed": "count",
    "defaults": "table",
}
CHECKS: dict[str, tuple[str, ...]] = {
    "english": (),
    "clean": (),
    "ends": (),
    "length": (),
    "streamed": (),
    "stop": ("stop",),
    "contains": (),
    "whole": ("expected",),
    "exact": ("expected",),
    "numeric": ("expected",),
    "choice": ("expected",),
    "judged": ("reference",),
    "refusal": (),
    "secret": ("secret",),
    "answered": (),
    "speed": (),
    "load": (),
    "json": ("schema",),
    "tool": ("tools",),
    "logprobs": (),
    "again": (),
    "together": ("parallel",),
    "code": ("tests",),
    "better": (),
}
"""Check → the keys that it needs. What each does: gauntlet/checks.py."""

EXPECTED = {
    "name": "small letters, digits and dashes",
    "text": "a text that is not empty",
    "texts": "a list of texts",
    "options": f"a list of 2 to {len(LETTERS)} different texts, the right one first",
    "chat": 'a list of {"role", "content"} that ends with the user\'s message',
    "count": "a whole number above 0",
    "number": "a number from 0 up",
    "flag": "true or false",
    "share": "a number between 0 and 1",
    "shares": "a table of numbers between 0 and 1",
    "table": "a table",
    "tools": 'a list of {"name", "description", "parameters"}',
    "call": 'an object {"name", "arguments"}',
    "needle": 'an object {"fill", "depth"} of two numbers between 0 and 1',
    "importance": " or ".join(IMPORTANCES),
}


class BadSuite(Permanent):
    """A suite file is wrong; the sentence names file, line and key."""


def read_suites(folder: Path | None = None) -> tuple[Suite, ...]:
    """All suites of a folder (None: those that ship), by importance and name. Raises BadSuite."""
    folder = folder or SHIPPED
    homes = sorted(path.parent for path in folder.glob("*/suite.toml"))
    if not homes:
        raise BadSuite(f"{folder} holds no suite.", "A suite is a folder with suite.toml and cases.jsonl in it.")
    suites = [read_suite(home) for home in homes]
    return tuple(sorted(suites, key=lambda suite: (IMPORTANCES.index(suite.importance), suite.name)))


def read_suite(home: Path) -> Suite:
    """One suite folder. Raises BadSuite."""
    where = f"{home.name}/suite.toml"
    try:
        rules = tomllib.loads((home / "suite.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSuite(f"{where} can't be read as TOML: {error}.", "Mend that line.") from None
    if not _NAME.match(home.name):
        raise BadSuite(f"The folder {home.name!r} can't name a suite: {EXPECTED['name']} are expected.")
    _check_keys(where, rules, SUITE_KEYS, required=("title", "pass_rate"))
    defaults = rules.pop("defaults", {})
    _check_keys(f"{where} [defaults]", defaults, CASE_KEYS)
    cases = _read_cases(home / "cases.jsonl", f"{home.name}/cases.jsonl", defaults, rules.pop("seed", 1))
    categories = {case.category for case in cases}
    for key in ("zero_tolerance", "category_pass_rate"):
        for category in rules.get(key, ()):
            if category not in categories:
                raise BadSuite(
                    f"{where}: {key} names the category {category!r}, which no case has{_near(category, categories)}."
                )
    rules["zero_tolerance"] = tuple(rules.get("zero_tolerance", ()))
    rules.setdefault("category_pass_rate", {})
    return Suite(name=home.name, cases=cases, **rules)


def _read_cases(path: Path, where: str, defaults: Mapping[str, Any], seed: int) -> tuple[Case, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSuite(f"{where} can't be read: {error}.") from None
    cases: dict[str, Case] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        here = f"{where}:{number}"
        case = _read_case(here, line, defaults, seed)
        if case.id in cases:
            raise BadSuite(f"{here}: id {case.id!r} appears twice.", "Give this case a name of its own.")
        cases[case.id] = case
    if not cases:
        raise BadSuite(f"{where} holds no case.")
    if all(case.reserve for case in cases.values()):
        raise BadSuite(f"{where}: every case is in reserve.", "Leave some to be asked at once.")
    return tuple(cases.values())


def _read_case(here: str, line: str, defaults: Mapping[str, Any], seed: int) -> Case:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadSuite(f"{here}: this line is not JSON ({error}).", "A case is one JSON object on one line.") from None
    if not isinstance(row, dict):
        raise BadSuite(f"{here}: a case is a JSON object, not {row!r:.40}.")
    _check_keys(here, row, CASE_KEYS, required=("id",))
    if ("prompt" in row) == ("messages" in row):
        raise BadSuite(f"{here}: a case has either prompt or messages.", "prompt is short for one user message.")
    if "system" in row and "messages" in row:
        raise BadSuite(f"{here}: system goes with prompt.", "Put it into messages as the first one.")
    if "options" in row:
        _shuffle(here, row, seed)
    row = {**defaults, **row}
    if not row.get("checks"):
        raise BadSuite(f"{here}: checks is missing.", "Name at least one of " + ", ".join(CHECKS) + ".")
    for check in row["checks"]:
        if check not in CHECKS:
            raise BadSuite(f"{here}: checks: {check!r} is unknown{_near(check, CHECKS)}.")
        for key in CHECKS[check]:
            if key not in row:
                raise BadSuite(f"{here}: {key} is missing; the check {check!r} needs it.")
    if "numeric" in row["checks"]:
        try:
            float(row["expected"])
        except ValueError:
            raise BadSuite(
                f"{here}: expected: {row['expected']!r} is not a number, as the check 'numeric' needs."
            ) from None
    prompt, system = row.pop("prompt", None), row.pop("system", None)
    if prompt is not None:
        row["messages"] = [{"role": "user", "content": prompt}]
        if system:
            row["messages"].insert(0, {"role": "system", "content": system})
    return Case.of(row)


def _shuffle(here: str, row: dict[str, Any], seed: int) -> None:
    """Options become lines of the prompt, in an order of this case's own, the same in every run of these files.

    The order hangs on seed and id alone, so that two runs ask the same and can be compared case by case.
    """
    if "prompt" not in row or "expected" in row:
        raise BadSuite(f"{here}: options go with prompt, and the first one is the expected answer.", "Drop expected.")
    options = row.pop("options")
    right, shuffled = options[0], list(options)
    random.Random(f"{seed}/{row['id']}").shuffle(shuffled)
    lines = [f"{letter}) {option}" for letter, option in zip(LETTERS, shuffled, strict=False)]
    row["prompt"] = "\n".join([row["prompt"], *lines, "Reply with the letter only."])
    row["expected"] = LETTERS[shuffled.index(right)]


def _check_keys(here: str, found: Mapping[str, Any], known: Mapping[str, str], required: tuple[str, ...] = ()) -> None:
    for key, value in found.items():
        if key not in known:
            raise BadSuite(
                f"{here}: {key} is not a known key{_near(key, known)}.", "Known keys: " + ", ".join(known) + "."
            )
        if not _fits(known[key], value):
            raise BadSuite(f"{here}: {key} is {value!r:.60}, but {EXPECTED[known[key]]} is expected.")
    for key in required:
        if key not in found:
            raise BadSuite(f"{here}: {key} is missing; {EXPECTED[known[key]]} is expected.")


def _fits(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "name":
            return isinstance(value, str) and bool(_NAME.match(value))
        case "text":
            return isinstance(value, str) and bool(value)
        case "texts":
            return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)
        case "options":
            return _fits("texts", value) and 2 <= len(value) <= len(LETTERS) and len(set(value)) == len(value)
        case "chat":
            return (
                isinstance(value, list) and bool(value) and all(map(_is_message, value)) and value[-1]["role"] == "user"
            )
        case "flag":
            return isinstance(value, bool)
        case "count":
            return number and isinstance(value, int) and value > 0
        case "number":
            return number and value >= 0
        case "share":
            return number and 0 <= value <= 1
        case "shares":
            return isinstance(value, dict) and all(_fits("share", share) for share in value.values())
        case "importance":
            return value in IMPORTANCES
        case "tools":
            return isinstance(value, list) and bool(value) and all(map(_is_tool, value))
        case "call":
            return _fits("table", value) and set(value) == {"name", "arguments"} and _fits("table", value["arguments"])
        case "needle":
            return isinstance(value, dict) and set(value) == {"fill", "depth"} and _fits("shares", value)
    return isinstance(value, dict)


def _is_message(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and set(item) == {"role", "content"}
        and item["role"] in ("system", "user", "assistant")
        and isinstance(item["content"], str)
    )


def _is_tool(item: Any) -> bool:
    return isinstance(item, dict) and {"name", "parameters"} <= set(item) <= {"name", "description", "parameters"}


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
