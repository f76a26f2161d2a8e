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


def hours(text: str) -> float:
    """12h, 2d, or a number of hours."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([hd]?)", text)
    if not found or not 0 < (number := float(found[1]) * (24 if found[2] == "d" else 1)) <= 24 * 365:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration up to a year: say 12h or 2d")
    return number


def count(text: str) -> int:
    """A whole number, at least 1."""
    if not text.isdigit() or not 1 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10 million")
    return int(text)


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """What a person may want of a plan; the same words in Slack and on the command line."""
    parser.add_argument("--nodes", type=count, metavar="N", help="exactly so many nodes")
    parser.add_argument("--gpus", type=count, metavar="N", help="so many GPUs on each node")
    parser.add_argument("--context", type=count, metavar="TOKENS", help="length of the context")
    parser.add_argument("--engine", metavar="RUNTIME", help="start the ladder at this runtime of the settings")
    parser.add_argument("--quant", metavar="SCHEME", help="quantized: the official copy if there is one; fp8, awq, …")
    parser.add_argument("--for", dest="hours", type=hours, metavar="TIME", help="serve for so long, then give back")
    parser.add_argument("--image", metavar="IMAGE", help="one of `dayzero image list` instead of the newest")
    parser.add_argument(
        "--overlay", metavar="PACKAGES", help="what pip puts over the image for this deployment: git+https://…@commit"
    )


def wishes(options: argparse.Namespace) -> dict[str, object]:
    """Those of `add_wishes` that were given."""
    given = {name: getattr(options, name) for name in WISHES}
    return {name: value for name, value in given.items() if value is not None}


WISHES = ("nodes", "gpus", "context", "engine", "quant", "hours", "image", "overlay")

CARE = {
    "extend": "serve so much longer",
    "retire": "stop serving, and give the GPUs back",
    "retry": "try again where it broke, or test once more",
    "rollback": "give its place back to the deployment that it replaced",
    "logs": "the end of the log that matters now",
}
"""Verbs under /deploy → what they do. Each takes a deployment: its id, or its model."""


def _parser(name: str) -> _Parser:
    parser = _Parser(prog=name, add_help=False, allow_abbrev=False)
    if name == "/deploy":
        parser.add_argument("model")
        add_wishes(parser)
        parser.add_argument("--plan", action="store_true")
    elif name == "/status":
        parser.add_argument("name", nargs="?", default="")
    else:
        parser.add_argument("deployment")
        if name == "/promote":
            parser.add_argument("tag", nargs="?", default="stable")
        if name == "/deploy extend":
            parser.add_argument("hours", type=hours)
        parser.add_argument("--because", default="")
    return parser


HELP = {
    "/deploy": "`/deploy org/model[@revision] [--nodes N] [--gpus N] [--context TOKENS] [--engine NAME] [--quant fp8]"
    " [--image NAME] [--for 12h] [--plan]`: "
    "plan a model and, if you may, approve it. `--plan` only shows the plan.\n"
    + "\n".join(
        f"`/deploy {verb} DEPLOYMENT{' 12h' if verb == 'extend' else ''}`: {does}" for verb, does in CARE.items()
    ),
    "/status": "`/status [model or deployment | cluster | costs | history]`: what is served, what is coming, what waits"
    " for a person. With a name: all about it, and the end of its log.",
    "/promote": "`/promote deployment [preview|stable] [--because …]`: move a deployment to a tag.",
}


def parse(name: str, text: str) -> argparse.Namespace | None:
    """The options; None when help was asked for. Refused says what is wrong and how it is used."""
    text = text.replace("\u200b", "")  # what keeps Slack from formatting a name comes along when it is copied
    text = text.replace("“", '"').replace("”", '"').replace("—", "--")  # phones write these by themselves
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Refused(f"That can't be read: {error}.", HELP[name]) from None
    if words in (["help"], ["--help"]) or (not words and name != "/status"):
        return None
    verb = words[0] if name == "/deploy" and "/" not in words[0] else ""
    if verb in CARE:
        return argparse.Namespace(verb=verb, **vars(_parser(f"/deploy {verb}").parse_args(words[1:])))
    if verb and len(words) > 1 and not words[1].startswith("-"):
        raise Refused(f"There is no `/deploy {verb}`.", nearest(verb, list(CARE)) or HELP[name])
    return argparse.Namespace(verb="", **vars(_parser(name).parse_args(words)))


def nearest(word: str, known: Sequence[str]) -> str:
    """A sentence that names what was perhaps meant; empty when nothing is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"Did you mean {', '.join(near)}?" if near else ""
