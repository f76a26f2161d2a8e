"""The words after a slash command, parsed as a shell would, answered with the nearest valid thing when they are off."""

import argparse
import shlex
from typing import NoReturn

from bot.act_words import ACTS
from bot.words import add_wishes, nearest, plainly
from lifecycle.errors import Refused


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        sentence, near = plainly(message, self._actions)
        raise Refused(sentence, near or f"Usage: {self.format_usage().removeprefix('usage: ').strip()}")


CARE = ("extend", "swap", "rollback", "retry", "retire", "logs")
"""Verbs under /deploy. Each takes a deployment: its id, or its model."""


def _parser(name: str) -> _Parser:
    """Of a command, or of a verb under /deploy."""
    parser = _Parser(prog=name, add_help=False, allow_abbrev=False)
    verb = name.removeprefix("/deploy ").removeprefix("/")
    if verb in ACTS:
        ACTS[verb].add(parser)
    elif verb == "logs":
        parser.add_argument("deployment", metavar="DEPLOYMENT")
    elif verb == "status":
        parser.add_argument("name", nargs="?", default="")
    else:
        parser.add_argument("model")
        add_wishes(parser)
        parser.add_argument("--plan", action="store_true")
    return parser


def _care_help(verb: str) -> str:
    if verb == "logs":
        return "`/deploy logs DEPLOYMENT`: the end of the log that matters now"
    return f"`{' '.join(('/deploy', verb, 'DEPLOYMENT', ACTS[verb].usage)).strip()}`: {ACTS[verb].about}"


HELP = {
    "/deploy": "`/deploy org/model[@revision] [--nodes N] [--gpus N] [--context TOKENS] [--engine NAME] [--quant fp8]"
    " [--image NAME] [--for 12h] [--plan]`: "
    "plan a model and, if you may, approve it. `--plan` only shows the plan.\n"
    + "\n".join(_care_help(verb) for verb in CARE),
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
        if verb == "swap" and words[2:3] == ["to"]:
            words[2] = "--to"  # as one says it
        return argparse.Namespace(verb=verb, **vars(_parser(f"/deploy {verb}").parse_args(words[1:])))
    if verb and len(words) > 1 and not words[1].startswith("-"):
        raise Refused(f"There is no `/deploy {verb}`.", nearest(verb, CARE) or HELP[name])
    return argparse.Namespace(verb="", **vars(_parser(name).parse_args(words)))
