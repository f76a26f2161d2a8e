"""The words after a slash command, parsed as a shell would, answered with the nearest valid thing when they are off."""

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from typing import NoReturn

from lifecycle.errors import Refused


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        usage = f"Usage: {self.format_usage().removeprefix('usage: ').strip()}"
        if found := re.search(r"unrecognized arguments: (\S+)", message):
            near = nearest(found[1], [word for action in self._actions for word in action.option_strings])
            raise Refused(f"There is no {found[1]} here.", near or usage)
        raise Refused(f"{message[0].upper()}{message[1:]}.", usage)


def _hours(text: str) -> float:
    """12h, 2d or a number of hours."""
    factor = 24 if text.endswith("d") else 1
    try:
        hours = float(text.rstrip("hd")) * factor
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: say 12h or 2d") from None
    if not 0 < hours <= 24 * 365:
        raise argparse.ArgumentTypeError(f"{text!r} is not between one minute and a year")
    return hours


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not 1 <= number <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text} is out of range")
    return number


def _parser(name: str) -> _Parser:
    parser = _Parser(prog=name, add_help=False, allow_abbrev=False)
    if name == "/deploy":
        parser.add_argument("model")
        for flag in ("--nodes", "--gpus", "--context"):
            parser.add_argument(flag, type=_count)
        parser.add_argument("--engine")
        parser.add_argument("--for", dest="hours", type=_hours)
        parser.add_argument("--plan", action="store_true")
    elif name == "/status":
        parser.add_argument("name", nargs="?", default="")
    else:
        parser.add_argument("deployment")
        parser.add_argument("tag", nargs="?", default="stable")
        parser.add_argument("--because", default="")
    return parser


HELP = {
    "/deploy": "`/deploy org/model[@revision] [--nodes N] [--gpus N] [--context TOKENS] [--engine NAME] [--for 12h]"
    " [--plan]`: "
    "plan a model and, if you may, approve it. `--plan` only shows the plan.",
    "/status": "`/status [model or deployment | cluster | costs | history]`: what is served, what is coming, what waits"
    " for a person. With a name: all about it, and the end of its log.",
    "/promote": "`/promote deployment [preview|stable] [--because …]`: move a deployment to a tag.",
}


def parse(name: str, text: str) -> argparse.Namespace | None:
    """The options; None when help was asked for. Refused says what is wrong and how it is used."""
    text = text.replace("“", '"').replace("”", '"').replace("—", "--")  # phones write these by themselves
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Refused(f"That can't be read: {error}.", HELP[name]) from None
    if words in (["help"], ["--help"]) or (not words and name != "/status"):
        return None
    return _parser(name).parse_args(words)


def nearest(word: str, known: Sequence[str]) -> str:
    """A sentence that names what was perhaps meant; empty when nothing is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"Did you mean {', '.join(near)}?" if near else ""
