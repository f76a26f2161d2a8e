"""`dayzero gauntlet …`: run against any OpenAI-compatible URL, check suites, conclude a run folder, compare two,
hand open samples to people and take their grades, meet other harnesses."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gauntlet import loop
from gauntlet.again import Wish
from gauntlet.cases import NEEDS, Sample
from gauntlet.cli_after import add_after
from gauntlet.cli_exchange import add_exchange
from gauntlet.client import api_root
from gauntlet.conclude import conclude
from gauntlet.near_duplicates import near_duplicates
from gauntlet.runfiles import Run, read_run
from gauntlet.runner import read_key, run_shard, wish_of
from gauntlet.runs import CONTEXT, prepare
from gauntlet.second_look import sentences
from gauntlet.suite_files import SHIPPED, read_suites
from lifecycle.errors import BadSettings, DayzeroError
from lifecycle.ports import Verdict

OFFERS = sorted({*NEEDS.values()} - {"rival"})
EXITS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `gauntlet` with its subcommands; each sets `run`: options in, exit status out."""
    gauntlet = subparsers.add_parser("gauntlet", help="judge a model: run, check, conclude, compare, grade")
    commands = gauntlet.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="ask and judge a model at any OpenAI-compatible address")
    command.add_argument("--base-url", help="http://host:port, with or without /v1 (none: --folder holds a run)")
    command.add_argument("--model", help="its name there")
    command.add_argument(
        "--key-file", type=Path, help="file with the key, readable by you alone (none: no key is sent)"
    )
    command.add_argument("--suites", type=Path, help="folder of suites (none: those that ship)")
    command.add_argument("--folder", type=Path, help="where to write (none: a new folder here; an old one is resumed)")
    command.add_argument("--judge", action="append", default=[], help="another model there; twice for a second opinion")
    command.add_argument("--rival", default="", help="a model there to compare answers with (needs a judge)")
    command.add_argument(
        "--offers", default="", help=f"what the address can do beside plain chat: {','.join(OFFERS)}"
    )
    command.add_argument("--context", type=int, default=CONTEXT, help=f"tokens that are served ({CONTEXT})")
    command.add_argument("--concurrency", type=int, default=64, help="requests at once, at most (64)")
    command.add_argument("--patience", type=float, default=60, help="seconds that an outage is waited out (60)")
    command.add_argument("--baseline", type=Path, help="folder of an earlier run to compare with")
    command.add_argument("--suite", default="", help="only this suite (without --base-url: all of it again)")
    command.add_argument("--shard", type=int, help="only this shard of a run that is there, from 0")
    command.add_argument("--no-more", action="store_true", help="leave reserves alone where samples are too few")
    command.add_argument("--only-failed", action="store_true", help="ask again what failed or stayed open in --folder")
    command.set_defaults(run=run)

    command = commands.add_parser("check", help="validate suites and show near duplicates")
    command.add_argument(
        "folder", type=Path, nargs="?", default=SHIPPED, help="folder of suites (none: those that ship)"
    )
    command.set_defaults(run=check)

    command = commands.add_parser("conclude", help="judge what a run has written so far")
    command.add_argument("folder", type=Path)
    command.add_argument("--baseline", type=Path, help="folder of an earlier run to compare with")
    command.add_argument("--no-more", action="store_true", help="leave reserves alone where samples are too few")
    command.set_defaults(run=lambda options: _guarded(lambda: _conclude(options)))
    add_after(commands, _guarded, _show)
    add_exchange(commands, _guarded)


def run(options: argparse.Namespace) -> int:
    """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 2 when it could not begin, 130 interrupted (the same folder goes on)."""
    folder = options.folder or Path(f"gauntlet-{time.strftime('%Y%m%d-%H%M%S')}")

    def work() -> int:
        if not options.base_url and (folder / "run.json").exists():
            return ask(options.suite)
        if not (options.base_url and options.model):
            raise BadSettings("--base-url and --model are missing.", "Only a --folder that holds a run does without.")
        key_file = options.key_file or _no_key(folder)
        prepare(
            folder,
            suites=options.suites,
            shards=1,
            base_url=options.base_url,
            model=options.model,
            key_file=key_file.absolute(),
            judges=options.judge,
            rival=options.rival,
            offers=_offers(options.offers),
            context=options.context,
            concurrency=options.concurrency,
            subject={"model": options.model, "address": api_root(options.base_url)},
            patience_s=options.patience,
            baseline=options.baseline,
            only=options.suite,
        )
        return ask()

    def ask(again: str = "") -> int:
        prepared = read_run(folder)
        wish = wish_of(prepared, options.only_failed, again)
        shards = prepared.asked if options.shard is None else (prepared.check(options.shard),)
        print(f"Writing to {folder}", file=sys.stderr)
        whole = options.shard is None and not options.no_more
        _ask(prepared, shards, wish)
        verdict = conclude(folder, options.baseline, ask_more=whole)
        if verdict.more:
            prepared = read_run(folder)
            print("The first samples could not tell.", *sentences(prepared), file=sys.stderr)
            _ask(prepared, prepared.second, wish)
            verdict = conclude(folder, options.baseline)
        return _show(verdict)

    try:
        return _guarded(work)
    except KeyboardInterrupt:
        print(f"\nInterrupted; go on with --folder {folder}", file=sys.stderr)
        return 130


def _ask(run: Run, shards: Sequence[int], wish: Wish) -> None:
    for shard in shards:
        loop.run(run_shard(run, run.folder, shard, read_key(run.key_file), report=_line, wish=wish))
        print(file=sys.stderr)


def _conclude(options: argparse.Namespace) -> int:
    """As `run`'s; where samples are added, the next step is the same by Slurm or here."""
    verdict = conclude(options.folder, options.baseline, ask_more=not options.no_more)
    if verdict.more:
        shards = ",".join(map(str, read_run(options.folder).second))
        print(f"{verdict.more} more samples are to be asked before this is the last word: sbatch --array={shards} on"
              f" the run's script, or dayzero gauntlet run --folder {options.folder}", file=sys.stderr)  # fmt: skip
    return _show(verdict)


def _offers(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := sorted(set(words) - set(OFFERS)):
        raise BadSettings(f"--offers: {', '.join(unknown)} is unknown.", f"Choose from {', '.join(OFFERS)}.")
    return words


def check(options: argparse.Namespace) -> int:
    """0 when the suites are valid; near duplicates are shown and change nothing."""

    def work() -> int:
        suites = read_suites(options.folder)
        for suite in suites:
            kept = sum(case.reserve for case in suite.cases)
            cases = f"{len(suite.cases) - kept} cases{f' and {kept} in reserve' if kept else ''}"
            print(f"{suite.name}: {cases}, {suite.importance}, {suite.pass_rate:.0%} wanted")
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
