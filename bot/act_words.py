"""What people may do to a deployment, in words: the same after `dayzero` and after `/deploy`. Only argparse in here."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from bot.words import hours


@dataclass(frozen=True)
class Act:
    """`about`: what it does, for the help; `more`: adds what it wants besides the deployment."""

    about: str
    more: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    usage: str = ""

    def add(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("deployment", metavar="DEPLOYMENT", help="an id, or org/name")
        self.more(parser)
        parser.add_argument("--because", default="", metavar="TEXT", help="the reason, for the history")


def _time(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hours", type=hours, metavar="TIME", help="so much longer: 12h, 2d")


def _successor(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--to", default="", metavar="MODEL", help="a repository, or a deployment that serves already")
    schemes = ["fp8", "awq", "gptq"]
    what.add_argument("--quant", default="", choices=schemes, help="a quantized copy: official, else made here")
    what.add_argument("--resume", action="store_true", help="once more, after it was worse and stepped back")
    parser.add_argument("--own", action="store_true", help="made here even where there is an official copy")


def _tag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", choices=["stable", "preview"], nargs="?", default="stable", help="stable if left out")


def _image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", default="", metavar="IMAGE", help="in this one of `dayzero image list`")


ACTS = {
    "extend": Act("let a deployment with an end serve longer", _time, "12h"),
    "swap": Act("put a successor in the place of a deployment, step by step", _successor, "[to MODEL | --quant fp8]"),
    "rollback": Act("take a swap back: at once while the elder is kept, else by deploying its old plan"),
    "promote": Act("move a deployment to stable; or to preview: a held one up, a stable one back", _tag),
    "retire": Act("stop serving a deployment and give its GPUs back; running answers are finished first"),
    "abandon": Act("give up a deployment that is broken, held or on its way"),
    "retry": Act("try again where it broke, or test a held deployment once more", _image),
    "fail": Act("decide that a held deployment is not good enough"),
}
"""Verb → its words. What each does is in bot/acts.py."""
