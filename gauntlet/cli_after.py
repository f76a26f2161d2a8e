"""`dayzero gauntlet compare`, `export-open` and `import-grades`: what people do once a run is there."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path

from gauntlet.comparison import compare
from gauntlet.conclude import conclude, judged_records
from gauntlet.grades import add_grades, as_csv, as_jsonl, parse_grades, to_grade
from gauntlet.report import name_of
from lifecycle.errors import BadSettings
from lifecycle.ports import Verdict

Guarded = Callable[[Callable[[], int]], int]


def add_after(commands: argparse._SubParsersAction, guarded: Guarded, show: Callable[[Verdict], int]) -> None:
    """Adds the three commands; each sets `run`: options in, exit status out."""
    command = commands.add_parser("compare", help="two runs, suite by suite, on the samples that both have graded")
    command.add_argument("before", type=Path, metavar="RUN_A", help="folder of the earlier run")
    command.add_argument("now", type=Path, metavar="RUN_B", help="folder of the later run")
    command.add_argument("--as-json", action="store_true", help="for machines")
    command.set_defaults(run=lambda options: guarded(lambda: _compare(options)))

    command = commands.add_parser("export-open", help="samples that wait for a person, to be graded anywhere")
    command.add_argument("folder", type=Path)
    command.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    command.add_argument("--judged", action="store_true", help="also what the judge graded, to see how far to trust it")
    command.set_defaults(run=lambda options: guarded(lambda: _export(options)))

    command = commands.add_parser("import-grades", help="take people's grades over (CSV or JSONL) and conclude again")
    command.add_argument("folder", type=Path)
    command.add_argument("file", type=Path, help="as export-open wrote it, with pass or fail in the column grade")
    command.add_argument("--by", default="", help="who graded, where the column by is empty (you)")
    command.set_defaults(run=lambda options: guarded(lambda: _import(options, show)))


def _compare(options: argparse.Namespace) -> int:
    """0, or 1 when a suite that decides something became worse beyond doubt."""
    before, old = judged_records(options.before)
    now, new = judged_records(options.now)
    differences = compare(now.suites, old, new)
    if options.as_json:
        print(json.dumps([difference.as_dict() for difference in differences], indent=1))
    else:
        print(f"Before: {name_of(before)} ({options.before})\nNow:    {name_of(now)} ({options.now})")
        for difference in differences:
            print(f"  {difference.sentence}")
            if difference.left_out:
                print(f"    {difference.left_out} samples left out: not graded in both, or asked in other words")
    return int(any(d.word == "worse" and d.importance != "advisory" for d in differences))


def _export(options: argparse.Namespace) -> int:
    run, records = judged_records(options.folder)
    rows = to_grade(run, records, judged=options.judged)
    sys.stdout.write(as_csv(rows) if options.format == "csv" else as_jsonl(rows))
    print(f"{len(rows)} samples", file=sys.stderr)
    return 0


def _import(options: argparse.Namespace, show: Callable[[Verdict], int]) -> int:
    run, _ = judged_records(options.folder)
    try:
        text = options.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{options.file} can't be read: {error}.", "Save it as UTF-8.") from None
    grades = parse_grades(text, options.file.name, (s.id for s in run.samples), options.by or getpass.getuser())
    add_grades(options.folder, grades)
    print(f"{len(grades)} grades taken over.")
    return show(conclude(options.folder))
