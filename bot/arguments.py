"""The words of `dayzero`, parsed. Only argparse is imported here, so that the answer to a typo comes at once."""

import argparse
import re
from pathlib import Path
from typing import NoReturn

from bot import key_words
from bot.act_words import ACTS
from bot.words import add_wishes, count, plainly
from lifecycle.errors import Permanent

PROLOGUE = "Serve, test and offer an open-weights model the day it is published."
EPILOGUE = """\
exit status: 0 done; 1 a person must change something first; 2 the command line itself is wrong; 75 try again later.
`dayzero gauntlet run` and `conclude` say 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 2 when they could not begin.
`dayzero check` proves each part of the installation. A deployment may be named by its id or its model.
"""


class WrongWords(Permanent):
    """The command line can't be understood."""


class Parser(argparse.ArgumentParser):
    """argparse that raises WrongWords with the nearest valid word, instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        sentence, near = plainly(message, self._actions)
        raise WrongWords(sentence, near or f"See `{self.prog} --help`.")


def parser(*, gauntlet: bool = True) -> Parser:
    """Each verb sets `verb`, or `run` where the Gauntlet brings its own. Without `gauntlet` its words are not known."""
    top = Parser(
        prog="dayzero",
        description=PROLOGUE,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--config", help="the settings file ($DAYZERO_CONFIG, else ./dayzero.toml)")
    top.add_argument("--json", action="store_true", help="answer in JSON, errors too")
    verbs = top.add_subparsers(required=True, metavar="COMMAND", dest="verb", parser_class=Parser)
    _looking(verbs)
    _deciding(verbs)
    _operating(verbs)
    _gateway(verbs)
    if gauntlet:
        from gauntlet.cli import add_parser  # brings the HTTP client and the suites: only when it is asked for

        add_parser(verbs)
    else:
        verbs.add_parser("gauntlet", help="judge a model: run, check, conclude", add_help=False)
    _everywhere(verbs)
    return top


def _verb(verbs: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)


def _looking(verbs: argparse._SubParsersAction) -> None:
    made = _verb(verbs, "status", "what is served, what is coming, what waits for a person")
    made.add_argument(
        "name", nargs="?", metavar="WHAT",
        help="all about one deployment (an id, or org/name), or: cluster, costs, history (how long each stage took)",
    )  # fmt: skip
    made.add_argument("--retired", action="store_true", help="those that have ended, too")
    made = _verb(verbs, "history", "all that happened to a deployment, oldest first")
    made.add_argument("deployment", metavar="DEPLOYMENT", help="an id, or org/name")
    made.add_argument("--tail", type=count, metavar="N", help="only the last N lines")

    made = _verb(verbs, "logs", "the end of the log that matters now: of the download, the server or the Gauntlet")
    made.add_argument("deployment", metavar="DEPLOYMENT", help="an id, or org/name")
    made.add_argument("--lines", type=count, default=30, metavar="N", help="so many lines (30)")


def _deciding(verbs: argparse._SubParsersAction) -> None:
    for name, text in (
        ("plan", "how a model would be served here, whom it would evict, with the script; changes nothing"),
        ("deploy", "find, plan and approve a model"),
    ):
        made = _verb(verbs, name, text)
        made.add_argument("model", metavar="MODEL", help="org/name, org/name@revision, or its address on the Hub")
        add_wishes(made)
    made = _verb(verbs, "approve", "approve the plan of a release that was offered")
    made.add_argument("release", metavar="RELEASE", help="its number in `dayzero status`, or org/name")
    made.add_argument("--digest", default="", help="only the plan with this digest: what you saw is what you approve")
    made.add_argument("--quantized", action="store_true", help="the quantized plan that is offered beside it")
    made = _verb(verbs, "skip", "decide against a release")
    made.add_argument("release", metavar="RELEASE", help="its number in `dayzero status`, or org/name")
    for name, act in ACTS.items():
        act.add(_verb(verbs, name, act.about))


def _operating(verbs: argparse._SubParsersAction) -> None:
    _verb(verbs, "bot", "run the service: watch, decide, tell; until SIGTERM")
    made = _verb(verbs, "watch", "what the rules of [watch] would have announced of an organisation; changes nothing")
    made.add_argument("what", choices=["dry-run"], help="look, and say what would be announced")
    made.add_argument("organisation", metavar="ORG", help="its name on the Hub")
    made.add_argument("--days", type=float, default=30, metavar="N", help="of the last N days (30)")
    made = _verb(verbs, "webhooks", "what receivers have not taken yet, and the dead letters")
    made.add_argument("what", choices=["list", "retry"], nargs="?", default="list", help="retry: the dead ones again")
    made.add_argument("--to", metavar="NAME", help="only of this receiver")
    made = _verb(verbs, "slack", "the manifest of the Slack app, to paste at api.slack.com")
    made.add_argument("what", choices=["manifest"], help="as YAML; as JSON with --json, which Slack takes, too")
    made.add_argument("--http", default="", metavar="URL", help="for slack.listen, reached at this HTTPS address")
    _verb(verbs, "tick", "take one step of everything that is due, then stop; not while the bot runs")
    _weights(_verb(verbs, "weights", "what lies on the shared file system: list, gc, adopt, pin, unpin"))
    _scale(_verb(verbs, "scale", "how many servers a deployment has, when it sleeps, and waking it"))
    _images(_verb(verbs, "image", "what servers run in: build, list, use, rollback, gc"))
    made = _verb(verbs, "check", "prove each part of the installation and say how to mend what fails")
    made.add_argument("parts", nargs="*", metavar="PART", help="only these; all if left out")


def _weights(verb: argparse.ArgumentParser) -> None:
    kinds = verb.add_subparsers(metavar="WHAT", dest="what", parser_class=Parser)
    kinds.add_parser("list", help="sizes, last use, and what keeps them", allow_abbrev=False)
    made = kinds.add_parser("gc", help="delete the least recently used until enough is free", allow_abbrev=False)
    made.add_argument("--dry-run", action="store_true", help="only say what would go")
    made.add_argument("--free", type=float, metavar="GIB", help="so much instead of weights.keep_free")
    made = kinds.add_parser("adopt", help="verify a mirror against the Hub and publish it", allow_abbrev=False)
    made.add_argument("folder", type=Path, metavar="FOLDER", help="directly holds config.json and the weights")
    made.add_argument("model", metavar="MODEL", help="org/name, or org/name@revision")
    for name, text in (("pin", "never delete these weights"), ("unpin", "the opposite")):
        made = kinds.add_parser(name, help=text, allow_abbrev=False)
        made.add_argument("model", metavar="MODEL", help="org/name, or org/name@revision")


def _scale(made: argparse.ArgumentParser) -> None:
    made.add_argument("deployment", metavar="DEPLOYMENT", help="an id, or org/name")
    made.add_argument("--replicas", type=servers, metavar="N", help="so many servers, or from-to by load: 1-4")
    made.add_argument(
        "--to-zero-after", dest="idle_s", type=idle, metavar="TIME", help="sleep when unasked for: 30m, 2h; or never"
    )
    made.add_argument("--awake", dest="hours", metavar="HOURS", help='awake then: "Mon-Fri 08:00-18:00"; "": by need')
    now = made.add_mutually_exclusive_group()
    now.add_argument("--wake", action="store_true", help="wake it now")
    now.add_argument("--sleep", action="store_true", help="give its GPUs back now; whoever asks for it wakes it")


def servers(text: str) -> tuple[int, int]:
    """2, or 1-4."""
    found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of servers: say 2, or 1-4")
    return int(found[1]), int(found[2] or found[1])


def idle(text: str) -> float:
    """Seconds: 30m, 2h; 0 for never."""
    found = re.fullmatch(r"(\d{1,5})([mh])", text)
    if text == "never":
        return 0.0
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait: say 30m, 2h or never")
    return int(found[1]) * (60.0 if found[2] == "m" else 3600.0)


def _images(verb: argparse.ArgumentParser) -> None:
    kinds = verb.add_subparsers(metavar="WHAT", dest="what", parser_class=Parser)
    kinds.add_parser("list", help="which there are, which one new plans get, what is being built", allow_abbrev=False)
    made = kinds.add_parser("build", help="build one in a job, and try it with a tiny model", allow_abbrev=False)
    made.add_argument("--from", dest="reference", default="nightly", metavar="REF", help="nightly, a release, a commit")
    made = kinds.add_parser("use", help="make new plans with this one from now on", allow_abbrev=False)
    made.add_argument("image", metavar="IMAGE", help="its name in `dayzero image list`")
    kinds.add_parser("rollback", help="back to the one that was used before", allow_abbrev=False)
    made = kinds.add_parser("gc", help="delete old ones that nobody uses", allow_abbrev=False)
    made.add_argument("--dry-run", action="store_true", help="only say what would go")


def _gateway(verbs: argparse._SubParsersAction) -> None:
    made = _verb(verbs, "gateway", "run the gateway until SIGTERM")
    made.add_argument("--host", help="listen here instead of gateway.host")
    made.add_argument("--port", type=int, help="listen here instead of gateway.port")
    made.add_argument("--workers", type=int, metavar="N", help="so many processes instead of gateway.workers")
    key_words.keys(_verb(verbs, "keys", "keys of the gateway: create, list, change, rotate, revoke, audit"), Parser)
    key_words.teams(_verb(verbs, "teams", "teams of keys, and the limits that they share"), Parser)
    made = _verb(verbs, "usage", "tokens and cost, summed")
    groups = "sum by this, or by several with commas: model, key, team, deployment, provider, day (model)"
    made.add_argument("--by", default="model", help=groups)
    made.add_argument("--days", type=float, default=30, metavar="N", help="of the last N days (30)")
    made.add_argument("--csv", action="store_true", help="as CSV")
    made.add_argument("--gpus", action="store_true", help="our own models: GPU-hours held, idle share, cost of tokens")


def _everywhere(verbs: argparse._SubParsersAction) -> None:
    """--json and --config are understood before and after the verb."""
    for made in verbs.choices.values():
        for action in [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]:
            _everywhere(action)
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON, errors too")
        made.add_argument("--config", default=argparse.SUPPRESS, help="the settings file")
