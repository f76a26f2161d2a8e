"""Code that a model wrote, put to the test in the sandbox. Not pure, as the other checks are: it starts a process."""

import re
from collections.abc import Sequence

from gauntlet.answers import Answer, Mark, failed, passed, unscored
from gauntlet.cases import Case
from gauntlet.sandbox import run_python

_BLOCK = re.compile(r"(?ims)^[ \t]*```[ \t]*(?:python3?|py)?[ \t]*\n(.*?)^[ \t]*```")


def code(case: Case, answers: Sequence[Answer]) -> Mark:
    """The answer's Python passes the case's tests. Unscored where nothing can be run."""
    source = python_in(answers[0].said)
    if not source.strip():
        return failed("There is no code in the answer.")
    ran = run_python(source, case.tests)
    if not ran.here:
        return unscored(f"The code was not run: {ran.fault}. Install bubblewrap, or let a person grade it.")
    return failed(f"The code fails its tests: {ran.fault}.") if ran.fault else passed("The code passes its tests.")


def python_in(text: str) -> str:
    """All fenced blocks of Python, one after the other; the whole text where none is fenced."""
    blocks = _BLOCK.findall(text)
    return "\n".join(blocks) if blocks else text
