"""All of Slack in one object: listens when connected, tells when Slack can be reached. Without Slack it only mails."""

import logging

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.addresses import Addresses
from bot.mail import Mailer
from bot.people import Directory
from bot.slack.asked import Status
from bot.slack.gate import SlackGate
from bot.slack.graders import Graders
from bot.slack.listeners import Listeners
from bot.slack.looking import Looking
from bot.slack.receiver import Receiver
from bot.slack.tell import Teller, switched_off
from bot.world import Parts
from lifecycle.errors import BadSettings, ChatUnavailable, DayzeroError
from lifecycle.sections.telling import Slack

log = logging.getLogger("dayzero.slack")

TIMEOUT_S = 15


def missing_secret(slack: Slack) -> str:
    """The variable without which Slack can't be used; empty: nothing is missing."""
    way_in = ("SLACK_SIGNING_SECRET", slack.signing_secret) if slack.listen else ("SLACK_APP_TOKEN", slack.app_token)
    needed = (("SLACK_BOT_TOKEN", slack.bot_token), way_in)
    return next((name for name, secret in needed if secret is None), "")


class Chat:
    """`connect()` and `tell()` are each one round of a loop; a Slack that is down costs only the telling, later."""

    def __init__(self, parts: Parts):
        slack = parts.settings.slack
        self._parts = parts
        self._mailer = Mailer(parts.settings, parts.ledger)
        self._handler: SocketModeHandler | Receiver | None = None
        self._wanted = bool(slack.channel)
        self._wait_until = 0.0
        if not self._wanted:
            switched_off(parts.ledger)
            return
        if missing := missing_secret(slack):
            raise BadSettings(f"slack.channel is set, but {missing} is not.", "Put it into the environment.")
        # no retries inside the client: a lost answer sent again by itself is a message posted twice
        self._client = WebClient(
            slack.bot_token.get_secret_value(), base_url=slack.api_url, timeout=TIMEOUT_S, retry_handlers=[]
        )
        self.gate = SlackGate(self._client, parts.ledger)
        self._directory = Directory(self.gate, slack, Addresses(parts.settings.people))
        self._looking = Looking(parts.settings, parts.ledger, self.gate, parts.world.scheduler)
        self._graders = Graders(parts.settings, parts.ledger, self.gate)
        self._teller = Teller(parts.settings, parts.ledger, self.gate, self._directory)

    def connect(self) -> None:
        """Open the socket unless it is open; Slack being down raises ChatUnavailable."""
        if not self._wanted or self._handler is not None:
            return
        slack = self._parts.settings.slack
        try:
            secret = slack.signing_secret.get_secret_value() if slack.listen and slack.signing_secret else None
            app = App(client=self._client, signing_secret=secret, raise_error_for_unhandled_request=False)
            status = Status(self._parts.settings, self._parts.ledger, self._parts.world.scheduler)
            Listeners(app, self._parts, self._directory, self._looking, status, self._graders)
            handler = self._way_in(app)
            handler.connect()
        except (SlackApiError, SlackClientError, OSError) as error:
            raise ChatUnavailable(f"Slack can't be reached ({type(error).__name__}).") from None
        self._handler = handler
        log.info("listening to Slack")

    def _way_in(self, app: App) -> SocketModeHandler | Receiver:
        slack = self._parts.settings.slack
        if slack.listen:
            return Receiver(app, slack.listen)
        assert slack.app_token is not None
        return SocketModeHandler(app, slack.app_token.get_secret_value(), ping_interval=5)

    def tell(self) -> None:
        """Bring Slack and the mailboxes up to the ledger. One being down does not hold up the other."""
        now = self._parts.world.clock()
        faults: list[DayzeroError] = []
        for step in (self._mailer.step, self._tell_slack):
            try:
                step()
            except DayzeroError as error:
                faults.append(error)
        for error in faults:
            if error.retry_after_s:
                self._wait_until = now + error.retry_after_s
        if faults:
            raise faults[0]

    def _tell_slack(self) -> None:
        if self._wanted and self._parts.world.clock() >= self._wait_until:
            self._teller.step()
            self._graders.step()
            self._looking.refresh()

    def close(self) -> None:
        if self._handler is not None:
            self._handler.close()
