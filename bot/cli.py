"""`dayzero`: the same verbs as in Slack, and those of the operator. Every answer also as JSON (`--json`)."""

import argparse
import getpass
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from bot import show
from bot.sentences import plural
from lifecycle import actions, queries, releases
from lifecycle.errors import DayzeroError, Transient
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings, load

TRY_AGAIN, GIVE_UP = 75, 1
"""Exit codes: EX_TEMPFAIL when trying again may help, 1 when a person must change something first."""


def main(argv: list[str] | None = None) -> int:
    """Parse, run, print. Returns the exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "slack_bolt", "slack_sdk", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        answer = options.run(options)
    except DayzeroError as error:
        return _fail(error, options.json)
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    if isinstance(answer, int):
        return answer
    data, text = answer
    print(json.dumps(data, indent=2, default=str) if options.json else text)
    return 0


def _fail(error: DayzeroError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": str(error), "next_step": error.next_step, "retryable": error.retryable}))
    else:
        print(f"dayzero: {error.advice}", file=sys.stderr)
    return TRY_AGAIN if isinstance(error, Transient) else GIVE_UP


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dayzero", description="Serve, test and offer an open-weights model the day it is published."
    )
    parser.add_argument("--config", help="the settings file ($DAYZERO_CONFIG, else ./dayzero.toml)")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")
        made.set_defaults(run=run)
        return made

    verb("status", _status, "what is served, what is coming, what waits for a person").add_argument("name", nargs="?")
    for name, run, text in (
        ("plan", _plan, "how a model would be served here, with the script; changes nothing"),
        ("deploy", _deploy, "find, plan and approve a model: org/name, org/name@revision or its address"),
    ):
        made = verb(name, run, text)
        made.add_argument("model")
        made.add_argument("--nodes", type=int, help="exactly so many nodes")
        made.add_argument("--gpus", type=int, help="so many GPUs on each node")
        made.add_argument("--context", type=int, help="tokens of context")
        made.add_argument("--engine", help="start the ladder at this runtime")
        made.add_argument("--for", dest="hours", type=_hours, help="how long its jobs may run, e.g. 12h")
    made = verb("approve", _approve, "approve the plan of a release that was offered")
    made.add_argument("release", type=int)
    made = verb("skip", _skip, "decide against a release")
    made.add_argument("release", type=int)
    made = verb("promote", _promote, "move a deployment to preview or stable")
    made.add_argument("deployment")
    made.add_argument("tag", choices=["preview", "stable"], nargs="?", default="stable")
    for name, run, text in (
        ("retire", _verb(actions.retire), "stop serving a deployment and give its GPUs back"),
        ("abandon", _verb(actions.retire), "give up a deployment that is broken, held or on its way"),
        ("retry", _verb(actions.retry), "try again where it broke, or test a held deployment once more"),
        ("fail", _verb(actions.fail), "decide that a held deployment is not good enough"),
    ):
        verb(name, run, text).add_argument("deployment")
    for name in ("promote", "retire", "abandon", "retry", "fail"):
        verbs.choices[name].add_argument("--because", default="", help="the reason, for the history")
    verb("history", _history, "all that happened to a deployment").add_argument("deployment")
    verb("tick", _tick, "take one step of everything that is due, then stop")
    verb("check", _check, "prove each part of the installation and say how to mend what fails")
    verb("bot", _bot, "run the service: watch, decide, tell")
    verb("gateway", _gateway, "run the gateway").add_argument("--port", type=int)
    _keys_verbs(verb("keys", _keys_list, "keys of the gateway"))
    verb("usage", _usage, "tokens and cost by key and model")
    made = verb("gauntlet", lambda options: options.gauntlet(options), "run, check or judge by hand")
    from gauntlet.cli import add_parsers

    add_parsers(made.add_subparsers(required=True, metavar="WHAT"))
    return parser


def _hours(text: str) -> float:
    return float(text.removesuffix("h"))


def _me() -> str:
    return f"{getpass.getuser()} (command line)"


def _settings(options: argparse.Namespace) -> Settings:
    return load(options.config)


def _ledger(options: argparse.Namespace) -> Ledger:
    return Ledger(_settings(options).ledger_path, time.time)


def _parts(options: argparse.Namespace) -> Any:
    from bot.world import build  # imports the Hub's client and more: half a second that `status` need not wait

    return build(_settings(options))


def _wishes(options: argparse.Namespace) -> dict[str, Any]:
    wishes = {name: getattr(options, name) for name in ("nodes", "gpus", "context", "engine", "hours")}
    return {name: value for name, value in wishes.items() if value is not None}


def _status(options: argparse.Namespace) -> tuple:
    ledger = _ledger(options)
    if options.name:
        found = [queries.named(ledger.connection, options.name)]
        waiting = []
    else:
        found = queries.deployments(ledger.connection)
        waiting = queries.releases_in(ledger.connection, releases.FOUND, releases.OFFERED, releases.SNOOZED)
    servers = {d.id: queries.servers_of(ledger.connection, d.id) for d in found}
    return show.status_data(found, servers, waiting), show.status(found, servers, waiting, time.time())


def _plan(options: argparse.Namespace) -> tuple:
    from batch.hub import parse_reference

    parts = _parts(options)
    reference = parse_reference(options.model)
    facts = parts.hub.facts(reference.repo, reference.revision)
    plan, refusal = parts.offers.planned(facts, **_wishes(options))
    if plan is None:
        return {"refused": refusal}, f"No plan: {refusal}"
    script = parts.world.recipes.draft(plan).path.read_text()
    return {"plan": plan.to_dict(), "digest": plan.digest, "script": script}, show.plan(facts, plan) + "\n\n" + script


def _deploy(options: argparse.Namespace) -> tuple:
    from batch.hub import parse_reference

    parts = _parts(options)
    reference = parse_reference(options.model)
    release = parts.offers.ask(reference.repo, reference.revision, by=_me(), **_wishes(options))
    made, said = actions.approve(parts.ledger, release.id, release.plan.digest, by=_me())
    return {"deployment": made, "release": release.id}, said


def _approve(options: argparse.Namespace) -> tuple:
    made, said = actions.approve(_ledger(options), options.release, "", by=_me())
    return {"deployment": made}, said


def _skip(options: argparse.Namespace) -> tuple:
    said = actions.decide(_ledger(options), options.release, "skipped", by=_me())
    return {"said": said}, said


def _promote(options: argparse.Namespace) -> tuple:
    said = actions.promote(_ledger(options), options.deployment, options.tag, by=_me(), because=options.because)
    return {"said": said}, said


def _verb(action: Callable) -> Callable:
    def run(options: argparse.Namespace) -> tuple:
        said = action(_ledger(options), options.deployment, by=_me(), because=options.because)
        return {"said": said}, said

    return run


def _history(options: argparse.Namespace) -> tuple:
    ledger = _ledger(options)
    events = queries.history(ledger.connection, queries.named(ledger.connection, options.deployment).id)
    return show.history_data(events), show.history(events)


def _tick(options: argparse.Namespace) -> tuple:
    from lifecycle.reconcile import only_one

    settings = _settings(options)
    with only_one(settings.site.state):
        parts = _parts(options)
        found = parts.watch()
        tick = parts.tick()
    data = {"found": found, "rows": tick.rows, "stumbles": tick.stumbles, "scheduler_ok": tick.scheduler_ok}
    text = f"{plural(found, 'new release')}, {plural(tick.rows, 'row')} looked at"
    return data, "\n".join([text, *tick.stumbles])


def _check(options: argparse.Namespace) -> tuple | int:
    from bot import check

    results = check.run(_settings(options))
    data = [{"part": r.part, "ok": r.ok, "sentence": r.sentence, "next_step": r.next_step} for r in results]
    print(json.dumps(data, indent=2) if options.json else show.checks(results))
    return 0 if all(r.ok is not False for r in results) else GIVE_UP


def _bot(options: argparse.Namespace) -> int:
    from bot.service import serve

    return serve(_settings(options))


def _gateway(options: argparse.Namespace) -> int:
    from gateway.cli import serve

    return serve(_settings(options), port=options.port)


def _keys_verbs(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(metavar="WHAT")
    made = kinds.add_parser("create", help="make a key; it is shown this once")
    made.add_argument("name")
    made.add_argument("--tags", default="preview,stable", help="what it may call: candidate, preview, stable")
    made.add_argument("--team", default="")
    made.add_argument("--days", type=float, help="it expires after so many days")
    made.set_defaults(run=_keys_create)
    made = kinds.add_parser("revoke", help="a key, by its prefix or name")
    made.add_argument("which")
    made.set_defaults(run=_keys_revoke)
    kinds.add_parser("list", help="all keys").set_defaults(run=_keys_list)


def _keys_create(options: argparse.Namespace) -> tuple:
    from gateway import cli

    tags = [tag.strip() for tag in options.tags.split(",") if tag.strip()]
    expires = None if options.days is None else time.time() + options.days * 86400
    plaintext = cli.create_key(_settings(options), options.name, tags, options.team, expires, by=_me())
    return {"key": plaintext}, plaintext


def _keys_revoke(options: argparse.Namespace) -> tuple:
    from gateway import cli

    key = cli.revoke_key(_settings(options), options.which, by=_me())
    return {"revoked": key.prefix}, f"{key.prefix}… ({key.name}) is revoked."


def _keys_list(options: argparse.Namespace) -> tuple:
    from gateway import cli

    keys = cli.list_keys(_settings(options))
    return [{"prefix": k.prefix, "name": k.name, "tags": sorted(k.tags)} for k in keys], show.keys(keys, time.time())


def _usage(options: argparse.Namespace) -> tuple:
    from gateway import cli

    rows = cli.usage(_settings(options))
    return rows, show.table(rows)


if __name__ == "__main__":
    sys.exit(main())
