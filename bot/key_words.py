"""The words of `dayzero keys` and `dayzero teams`. Only argparse is imported here, as in `arguments`."""

import argparse

LIMITS = {
    "rpm": ("requests_per_minute", "requests a minute"),
    "tpm": ("tokens_per_minute", "tokens a minute, in and out"),
    "tokens-per-day": ("tokens_per_day", "tokens a day (UTC)"),
    "tokens-per-month": ("tokens_per_month", "tokens a month"),
    "cost-per-day": ("cost_per_day", "money a day, in the currency of the prices"),
    "cost-per-month": ("cost_per_month", "money a month"),
}
"""Option → (limit, what it bounds)."""


def keys(verb: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    kinds = verb.add_subparsers(metavar="WHAT", dest="what", parser_class=parser_class)
    made = kinds.add_parser("create", help="make a key; it is shown this once", allow_abbrev=False)
    made.add_argument("name", metavar="NAME", help="who or what will use it")
    made.add_argument("--tags", default="preview,stable", help="what it may call: stable, preview, candidate")
    made.add_argument("--admin", action="store_true", help="a key for the admin API, which calls no model")
    _scopes(made)
    made = kinds.add_parser("change", help="other scopes, limits, team or name for a living key", allow_abbrev=False)
    made.add_argument("which", metavar="KEY", help="its prefix dz-…, or its name")
    made.add_argument("--tags", help="what it may call: stable, preview, candidate")
    made.add_argument("--name", help="who or what uses it")
    _scopes(made)
    made = kinds.add_parser("rotate", help="a new secret for a key; it is shown this once", allow_abbrev=False)
    made.add_argument("which", metavar="KEY", help="its prefix dz-…, or its name")
    made.add_argument("--grace", type=float, default=0, metavar="HOURS", help="the old one is good for so long (0)")
    made = kinds.add_parser("revoke", help="refuse a key from now on", allow_abbrev=False)
    made.add_argument("which", metavar="KEY", help="its prefix dz-…, or its name")
    kinds.add_parser("list", help="all keys that were ever issued, with their last use", allow_abbrev=False)
    made = kinds.add_parser("show", help="all about one key", allow_abbrev=False)
    made.add_argument("which", metavar="KEY", help="its prefix dz-…, or its name")
    made = kinds.add_parser("audit", help="who changed which key or team, when, and how", allow_abbrev=False)
    made.add_argument("which", metavar="KEY", nargs="?", default="", help="only this prefix, or team:NAME")
    made.add_argument("--lines", type=int, default=50, metavar="N", help="the newest N (50)")


def teams(verb: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    kinds = verb.add_subparsers(metavar="WHAT", dest="what", parser_class=parser_class)
    made = kinds.add_parser("set", help="make a team, or change what is given", allow_abbrev=False)
    made.add_argument("name", metavar="TEAM", help="as in the keys' --team")
    made.add_argument("--tags", help="its keys see no other tags; empty: whatever they say")
    made.add_argument("--models", help="its keys call no other models: names or globs, with commas; empty: all")
    _limits(made)
    made = kinds.add_parser("drop", help="forget its limits; its keys stay", allow_abbrev=False)
    made.add_argument("name", metavar="TEAM", help="as in the keys' --team")
    kinds.add_parser("list", help="teams with limits of their own", allow_abbrev=False)


def _scopes(made: argparse.ArgumentParser) -> None:
    made.add_argument("--team", help="whose usage it is, and whose limits it shares")
    made.add_argument("--days", type=float, metavar="N", help="it expires so many days from now")
    made.add_argument("--models", help="only these: names or globs such as org/*, with commas; empty: all")
    made.add_argument("--map", action="append", metavar="NAME=MODEL", help="the caller says NAME and means MODEL")
    made.add_argument("--priority", type=int, metavar="N", help="in a model's queue: higher is served first (0)")
    _limits(made)


def _limits(made: argparse.ArgumentParser) -> None:
    for option, (name, what) in LIMITS.items():
        made.add_argument(f"--{option}", dest=name, metavar="N", help=f"at most so many {what}; none: no limit")
