"""`dayzero gauntlet …`: run against any OpenAI-compatible URL, check suites, conclude a run folder."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gauntlet.cases import Sample
from gauntlet.client import api_root
from gauntlet.conclude import conclude
from gauntlet.near_duplicates import near_duplicates
from gauntlet.runfiles import read_run
from gauntlet.runner import read_key, run_shard
from gauntlet.runs import prepare
from gauntlet.suite_files import SHIPPED, read_suites
from lifecycle.errors import DayzeroError
from lifecycle.ports import Verdict

EXITS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `gauntlet` with its subcommands; each sets `run`: options in, exit status out."""
    gauntlet = subparsers.add_parser("gauntlet", help="judge a model: run, check, conclude")
    commands = gauntlet.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="ask and judge a model at any OpenAI-compatible address")
    command.add_argument("--base-url", required=True, help="http://host:port, with or without /v1")
    command.add_argument("--model", required=True)
    command.add_argument(
        "--key-file", type=Path, help="file with the key, readable by you alone (none: no key is sent)"
    )
    command.add_argument("--suites", type=Path, help="folder of suites (none: those that ship)")
    command.add_argument("--folder", type=Path, help="where to write (none: a new folder here; an old one is resumed)")
    command.add_argument("--judge", default="", help="another model at the same address")
    command.add_argument("--concurrency", type=int, default=8, help="requests at once (8)")
    command.add_argument("--patience", type=float, default=60, help="seconds that an outage is waited out (60)")
    command.set_defaults(run=run)

    command = commands.add_parser("check", help="validate suites and show near duplicates")
    command.add_argument(
        "folder", type=Path, nargs="?", default=SHIPPED, help="folder of suites (none: those that ship)"
    )
    command.set_defaults(run=check)

    command = commands.add_parser("conclude", help="judge what a run has written so far")
    command.add_argument("folder", type=Path)
    command.set_defaults(run=lambda options: _guarded(lambda: _show(conclude(options.folder))))


def run(options: argparse.Namespace) -> int:
    """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 2 when it could not begin, 130 interrupted (the same folder goes on)."""
    folder = options.folder or Path(f"gauntlet-{time.strftime('%Y%m%d-%H%M%S')}")

    def work() -> int:
        key_file = options.key_file or _no_key(folder)
        prepare(
            folder,
            suites=options.suites,
            shards=1,
            base_url=options.base_url,
            model=options.model,
            key_file=key_file.absolute(),
            judge=options.judge,
            concurrency=options.concurrency,
            subject={"model": options.model, "address": api_root(options.base_url)},
            patience_s=options.patience,
        )
        print(f"Writing to {folder}", file=sys.stderr)
        asyncio.run(run_shard(read_run(folder), folder, 0, read_key(key_file), report=_line))
        print(file=sys.stderr)
        return _show(conclude(folder))

    try:
        return _guarded(work)
    except KeyboardInterrupt:
        print(f"\nInterrupted; go on with --folder {folder}", file=sys.stderr)
        return 130


def check(options: argparse.Namespace) -> int:
    """0 when the suites are valid; near duplicates are shown and change nothing."""

    def work() -> int:
        suites = read_suites(options.folder)
        for suite in suites:
            print(f"{suite.name}: {len(suite.cases)} cases, {suite.importance}, {suite.pass_rate:.0%} wanted")
        for one, other, alike in near_duplicates([Sample(s.name, case) for s in suites for case in s.cases]):
            print(f"nearly the same ({alike:.0%}): {one} and {other}")
        return 0

    return _guarded(work)


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except DayzeroError as error:
        print(error.advice, file=sys.stderr)
        return 2


def _show(verdict: Verdict) -> int:
    print(verdict.outcome)
    for reason in verdict.reasons:
        print(f"  {reason}")
    print(f"Report: {verdict.report}")
    return EXITS[verdict.outcome]


def _line(done: int, total: int, note: str) -> None:
    if not sys.stderr.isatty() and done < total:
        return  # a log wants no animation
    filled = 30 * done // total if total else 30
    line = f"\r{'█' * filled}{'░' * (30 - filled)} {done} of {total}, {note}"
    print(f"{line[:118]:<118}", end="", file=sys.stderr, flush=True)


def _no_key(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "no-key"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path
