"""A task of Inspect or lm-evaluation-harness as a suite of ours: plain files that people can edit.

The harness runs in a process of its own, in the interpreter in which it is installed (gauntlet/harness_tasks.py). Its
scorers become the checks that come nearest; what has none is judged by its target.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gauntlet.suite_files import LETTERS, read_suite
from lifecycle.errors import Permanent, Refused

KINDS = ("inspect", "lm-eval")
CHECK_OF = {"match": "exact", "exact": "exact", "answer": "exact", "includes": "contains", "pattern": "contains"}
"""Scorer → our check; choices are asked as `choice`, a numeric match as `numeric`, everything else is `judged`."""
DEADLINE_S = 600


class TaskUnread(Permanent):
    """The other harness could not read the task; the sentence carries its own last words."""


def import_task(kind: str, spec: str, home: Path, python: Path) -> int:
    """Write suite.toml and cases.jsonl into the new folder `home`; the number of cases. TaskUnread or Refused."""
    if home.exists():
        raise Refused(f"{home} is there already.", "Name a new folder; suites are edited by hand.")
    cases = unique(case_of(row) for row in rows_of(kind, spec, python))
    if not cases:
        raise TaskUnread(f"{spec} has no sample.")
    home.mkdir(parents=True)
    title = home.name.replace("-", " ").capitalize()
    source = f"{title}, taken from {Path(spec).name} ({kind}). Check what each case asks before it decides anything."
    rules = f"title = {json.dumps(title)}\ndescription = {json.dumps(source)}\n"
    (home / "suite.toml").write_text(f'{rules}importance = "advisory"\npass_rate = 0.5\n')
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    (home / "cases.jsonl").write_text(lines, encoding="utf-8")
    return len(read_suite(home).cases)


def rows_of(kind: str, spec: str, python: Path) -> list[dict[str, Any]]:
    """What harness_tasks.py prints, run by `python`. TaskUnread."""
    command = [str(python), str(Path(__file__).with_name("harness_tasks.py")), kind, spec]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TaskUnread(f"{python} could not read {spec}: {error}.") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TaskUnread(f"{spec} can't be read: {said}.", f"--python names an interpreter with {kind} installed.")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def case_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """One sample as a line of cases.jsonl."""
    case: dict[str, Any] = {"id": _name(row["id"])}
    messages = row["messages"]
    if row["options"] and len(messages) == 1 and len(set(row["options"])) == len(row["options"]) <= len(LETTERS):
        return {**case, "prompt": messages[0]["content"], "options": row["options"], "checks": ["choice"]}
    if len(messages) == 1:
        case["prompt"] = messages[0]["content"]
    else:
        case["messages"] = messages
    target = str(row["target"]).strip()
    check = "numeric" if row["numeric"] and _is_number(target) else CHECK_OF.get(row["scorer"], "judged")
    key = {"contains": "contains", "judged": "reference"}.get(check, "expected")
    return {**case, "checks": [check], key: [target] if check == "contains" else target}


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "case"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def unique(cases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same cases, each with an id of its own."""
    seen: dict[str, int] = {}
    out = []
    for case in cases:
        times = seen[case["id"]] = seen.get(case["id"], 0) + 1
        out.append({**case, "id": case["id"] if times == 1 else f"{case['id']}-{times}"})
    return out
