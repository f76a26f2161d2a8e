"""`dayzero gauntlet export-inspect` and `import-task`: to and from other evaluation harnesses."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from gauntlet.conclude import judge
from gauntlet.inspect_log import logs_of
from gauntlet.task_import import KINDS, import_task

Guarded = Callable[[Callable[[], int]], int]


def add_exchange(commands: argparse._SubParsersAction, guarded: Guarded) -> None:
    """Adds the two commands; each sets `run`: options in, exit status out."""
    command = commands.add_parser("export-inspect", help="a run as Inspect logs, for `inspect view`")
    command.add_argument("folder", type=Path, help="the run's folder")
    command.add_argument("--out", type=Path, default=Path("logs"), help="folder to write to (logs, as Inspect has it)")
    command.set_defaults(run=lambda options: guarded(lambda: _export(options)))

    command = commands.add_parser("import-task", help="a task of Inspect or lm-evaluation-harness as a suite")
    command.add_argument("kind", choices=KINDS)
    command.add_argument("task", help="FILE.py[@TASK] of Inspect, or FILE.yaml of lm-evaluation-harness; it is run")
    command.add_argument("suite", type=Path, help="the new suite's folder; its name is the suite's")
    command.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="interpreter with that harness installed (this one)"
    )
    command.set_defaults(run=lambda options: guarded(lambda: _import(options)))


def _export(options: argparse.Namespace) -> int:
    c = judge(options.folder)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, log in logs_of(c.run, c.suites, c.records).items():
        (options.out / name).write_text(json.dumps(log, ensure_ascii=False), encoding="utf-8")
        print(options.out / name)
    return 0


def _import(options: argparse.Namespace) -> int:
    count = import_task(options.kind, options.task, options.suite, options.python)
    print(f"{count} cases in {options.suite}. Read them, then: dayzero gauntlet check {options.suite.parent}")
    return 0
