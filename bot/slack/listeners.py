"""Clicks and slash commands: acknowledged at once, then checked, then written into the ledger. No work is done here."""

import logging
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from slack_bolt import App

from batch.hub import parse_reference
from bot import show
from bot.acts import Desk, act
from bot.commands import HELP, parse
from bot.naming import named
from bot.people import Directory
from bot.slack import proposals
from bot.slack.asked import Status
from bot.slack.cards import LATER_S
from bot.slack.graders import Graders
from bot.slack.looking import Looking
from bot.slack.text import block_code, safe, told
from bot.words import wishes as wishes_of
from bot.world import Parts
from lifecycle import actions
from lifecycle.errors import DayzeroError, NotAllowed

log = logging.getLogger("dayzero.slack")

EXTEND_HOURS = 12
"""What the button gives; `/deploy extend` takes any time."""

BUTTONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "retry": ("retry", {"image": ""}),
    "abandon": ("abandon", {}),
    "retire": ("retire", {}),
    "extend": ("extend", {"hours": EXTEND_HOURS}),
    "rollback": ("rollback", {}),
    "promote": ("promote", {"tag": "stable"}),
    "demote": ("promote", {"tag": "preview"}),
    "pass": ("promote", {"tag": "preview"}),
    "fail": ("fail", {}),
}
"""A button of a deployment → the verb (bot.acts) and its options."""

NOT_YOU = "Only approvers may do that."


class Listeners:
    """Registers itself on a Bolt app. Every answer is seen by the person who asked only."""

    def __init__(
        self, app: App, parts: Parts, directory: Directory, looking: Looking, status: Status, graders: Graders
    ):  # fmt: skip
        self._desk = Desk(parts.settings, parts.ledger, lambda: parts)
        self._ledger = parts.ledger
        self._status_of = status
        self._offers = parts.offers
        self._directory = directory
        for action, run in (self._clicks() | proposals.clicks(parts)).items():
            # work in a lazy listener: an exception right after ack() in the same listener loses the ack (bolt 1.30)
            app.action(action)(ack=_ack, lazy=[self._click(run)])
        for command, run in {"/deploy": self._deploy, "/status": self._status, "/promote": self._promote}.items():
            app.command(command)(ack=_ack, lazy=[self._command(command, run)])
        looking.register(app, _ack, self._look)
        graders.register(app, _ack, self._look)
        app.event("message")(ack=_ack, lazy=[_nothing])  # what bolt does not ack blocks the next event for seconds
        app.event("app_mention")(ack=_ack, lazy=[_nothing])

    def _clicks(self) -> dict[str, Callable[[str, str], str]]:
        ledger = self._ledger

        def decide(event: str) -> Callable[[str, str], str]:
            def run(value: str, by: str) -> str:
                release, _, _ = value.partition(":")
                wake = ledger.clock() + LATER_S if event == "snoozed" else None
                return actions.decide(ledger, int(release), event, by=by, wake_at=wake)

            return run

        def approve(value: str, by: str) -> str:
            release, _, seen = value.partition(":")
            return self._offers.approve(int(release), seen, by=by)

        def approve_smaller(value: str, by: str) -> str:
            release, _, seen = value.partition(":")
            return self._offers.approve_smaller(int(release), seen, by=by)

        return {
            "approve": approve,
            "approve_quantized": approve_smaller,
            "later": decide("snoozed"),
            "skip": decide("skipped"),
            **{action: self._button(verb, more) for action, (verb, more) in BUTTONS.items()},
        }

    def _button(self, verb: str, more: Mapping[str, Any]) -> Callable[[str, str], str]:
        def run(name: str, by: str) -> str:
            return act(self._desk, verb, Namespace(deployment=name, because="", **more), by=by).said

        return run

    def _click(self, run: Callable[[str, str], str]) -> Callable:
        def listener(body: dict[str, Any], respond: Callable) -> None:
            user = body["user"]

            def work() -> str:
                self._approver(user["id"])
                return run(body["actions"][0]["value"], _name(user))

            _answer(respond, work)

        return listener

    def _look(self, run: Callable[[dict], None]) -> Callable:
        def listener(body: dict[str, Any], respond: Callable) -> None:
            try:
                run(body)
            except DayzeroError as error:
                respond(text=told(error.advice), response_type="ephemeral", replace_original=False)

        return listener

    def _command(self, name: str, run: Callable) -> Callable:
        def listener(command: dict[str, Any], respond: Callable) -> None:
            def work() -> str:
                options = parse(name, command.get("text") or "")
                return HELP[name] if options is None else run(options, command)

            _answer(respond, work)

        return listener

    def _care(self, options: Any, command: dict[str, Any]) -> str:
        """A verb under /deploy: the same as its button, and as `dayzero`'s own verb."""
        if options.verb == "logs":
            return self._status_of.log(named(self._ledger.connection, options.deployment))
        return self._act(options.verb, options, command)

    def _act(self, verb: str, options: Any, command: dict[str, Any]) -> str:
        self._approver(command["user_id"])
        return told(act(self._desk, verb, options, by=_who(command)).said)

    def _deploy(self, options: Any, command: dict[str, Any]) -> str:
        if options.verb:
            return self._care(options, command)
        reference = parse_reference(options.model)
        wishes, by = wishes_of(options), _who(command)
        if options.plan:
            facts = self._offers.facts(reference.repo, reference.revision)
            plan, refusal = self._offers.planned(facts, **wishes)
            return block_code(show.plan(facts, plan), 2800) if plan else told(refusal)
        release = self._offers.ask(reference.repo, reference.revision, by=by, **wishes)
        if not self._directory.may_approve(command["user_id"]):
            return f"{safe(release.repo)} is planned; its card is in the channel and waits for an approver."
        return told(actions.approve(self._ledger, release.id, release.plan.digest, by=by)[1])

    def _status(self, options: Any, command: dict[str, Any]) -> str:
        return self._status_of.answer(options.name)

    def _promote(self, options: Any, command: dict[str, Any]) -> str:
        return self._act("promote", options, command)

    def _approver(self, user_id: str) -> None:
        if not self._directory.may_approve(user_id):
            raise NotAllowed(NOT_YOU, "Ask one of them, or have yourself added to slack.approvers.")


def _answer(respond: Callable, work: Callable[[], str]) -> None:
    """Say what came of it to the person alone; never leave a click without an answer."""
    try:
        said = work()
    except DayzeroError as error:
        said = told(error.advice)
    except Exception:
        log.exception("a click or a command stumbled")
        said = "Something went wrong here; it is in the service's log. Nothing was changed."
    try:
        respond(text=said, response_type="ephemeral", replace_original=False)
    except Exception as error:  # what was asked for is done; only the answer is lost
        log.warning("Slack did not take an answer: %s", type(error).__name__)


def _name(user: dict[str, Any]) -> str:
    return user.get("username") or user.get("name") or user["id"]


def _who(command: dict[str, Any]) -> str:
    return command.get("user_name") or command["user_id"]


def _ack(ack: Callable) -> None:
    ack()


def _nothing() -> None:
    pass
