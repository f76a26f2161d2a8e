"""Code that a model wrote runs behind walls: no network, no files, no processes, little time and memory."""

import shutil

import pytest

from gauntlet.answers import FAIL, PASS, UNSCORED, Answer
from gauntlet.cases import Case
from gauntlet.checks_code import code, python_in
from gauntlet.sandbox import run_python
from gauntlet.suite_files import read_suites
from tests.gauntlet.answers_code import SOLUTIONS

walled = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@walled
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("assert 1 + 1 == 2", ""),
        ("import threading\nt = threading.Thread(target=int); t.start(); t.join()", ""),
        ("import math, re, json, collections, heapq, functools, itertools, datetime, decimal", ""),
        ("assert 1 + 1 == 3, 'sums'", "AssertionError: sums"),
        ("def f(:", "SyntaxError"),
        ("import socket; socket.create_connection(('192.0.2.1', 53), 5)", "unreachable"),
        ("open('/etc/passwd')", "FileNotFoundError"),
        ("open('/usr/new', 'w')", "Read-only"),
        ("open('/tmp/big', 'w').write('a' * 10**8)", "File too large"),
        ("import os\nos.fork()", "Operation not permitted"),
        ("import subprocess\nsubprocess.run(['/bin/true'])", "Operation not permitted"),
        ("import os; assert set(os.environ) <= {'PATH', 'PYTHONHASHSEED', 'PWD', 'LC_CTYPE'}, list(os.environ)", ""),
        ("x = 'a' * 10**10", "MemoryError"),
        ("while True: pass", "1 s"),
        ("import time; time.sleep(600)", "it did not end within 1 s"),
        ("import sys\nfor _ in range(10**6): sys.stderr.write('a' * 65536)", "aaaa"),
        ("raise SystemExit(0)", "it ended with status 0"),
        ("import os; os._exit(0)", "it ended with status 0"),
        ("raise SystemExit('bwrap: no permission')", "bwrap: no permission"),
        ("import os\nassert sum(name.isdigit() for name in os.listdir('/proc')) < 4", ""),
    ],
)
def test_what_code_can_do_and_what_it_can_not(source: str, says: str):
    """Each way out is closed, and the sentence says what happened; ending early is not passing."""
    endless = "while" in source or "sleep" in source
    ran = run_python(source, seconds=1 if endless else 30)
    assert ran.here
    assert says in ran.fault if says else ran.fault == ""


def _graded(answer: str, tests: str) -> tuple[str, str]:
    case = Case(id="a", messages=({"role": "user", "content": "?"},), checks=("code",), tests=tests)
    mark = code(case, [Answer(text=answer, finish_reason="stop")])
    return mark.grade, mark.reason


@walled
@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        ("Here you are:\n```python\ndef double(n):\n    return 2 * n\n```\nIt doubles.", PASS),
        ("def double(n):\n    return n + n", PASS),
        ("```python\ndef double(n):\n    return n ** 2\n```", FAIL),
        ("```python\nraise SystemExit(0)\n```", FAIL),
        ("I would rather not.", FAIL),
        ("", FAIL),
    ],
)
def test_code_is_put_to_its_tests(answer: str, grade: str):
    """Fenced or bare; what ends before the tests have run fails."""
    assert _graded(answer, "assert double(3) == 6 and double(0) == 0")[0] == grade


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch):
    """Unscored, with the remedy: a person grades it."""
    monkeypatch.setattr("gauntlet.sandbox.shutil.which", lambda name: None)
    grade, reason = _graded("```python\npass\n```", "pass")
    assert grade == UNSCORED and "Install bubblewrap" in reason


def test_every_fenced_block_counts():
    """An answer in two blocks is one program; other languages are left out."""
    text = "First\n```py\na = 1\n```\nthen\n```\nb = 2\n```\nand\n```sh\nls\n```"
    assert python_in(text) == "a = 1\n\nb = 2\n"


@walled
@pytest.mark.parametrize("name", sorted(SOLUTIONS))
def test_the_tests_of_a_programming_question_tell_right_from_nearly_right(name: str):
    """A solution passes and a near miss fails: what a question asks can be done, and is really asked."""
    case = next(case for suite in read_suites() for case in suite.cases if case.id == name)
    good, bad = SOLUTIONS[name]
    assert run_python(good, case.tests).fault == ""
    assert run_python(bad, case.tests, seconds=3).fault


def test_every_programming_question_has_a_solution():
    """None is shipped unsolved."""
    asked = {case.id for suite in read_suites() for case in suite.cases if "code" in case.checks}
    assert asked == set(SOLUTIONS)
