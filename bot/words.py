"""What the words of `dayzero` and of Slack have in common: numbers, what is wanted of a plan, what was meant."""

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence


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


def nearest(word: str, known: Sequence[str]) -> str:
    """A sentence that names what was perhaps meant; empty when nothing is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"Did you mean {', '.join(near)}?" if near else ""


def plainly(message: str, actions: Iterable[argparse.Action]) -> tuple[str, str]:
    """(what is wrong, what was perhaps meant) of a complaint of argparse."""
    near = ""
    if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
        choices = [choice.strip(" '") for choice in found[2].split(",")]
        message = f"{found[1]!r} is none of {', '.join(choices)}"
        near = nearest(found[1], choices)
    elif found := re.search(r"unrecognized arguments: (\S+)", message):
        near = nearest(found[1], [option for action in actions for option in action.option_strings])
    return f"{message[0].upper()}{message[1:].rstrip('.')}.", near


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
"""Names of what `add_wishes` adds, as Offers.ask and Offers.planned take them."""
