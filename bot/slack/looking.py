"""Listeners that only look: the whole plan in a window, a log, App Home. Nothing is decided here."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from slack_bolt import App

from bot import logs, looks, promise
from bot.slack.details import details, modal
from bot.slack.gate import SlackGate, SlackRefused
from bot.slack.home import Now, home
from bot.slack.text import block_code, safe, section
from lifecycle import queries, releases
from lifecycle.ledger import Ledger
from lifecycle.ports import Scheduler
from lifecycle.settings import Settings

WATCHED_S = 3600
"""Home is kept up to date this long after somebody has opened it."""
AGAIN_S = 20


class Looking:
    """`register(app, listen)`: `listen` wraps a piece of work so that a failure is answered, not lost."""

    def __init__(self, settings: Settings, ledger: Ledger, gate: SlackGate, scheduler: Scheduler):
        self._settings = settings
        self._ledger = ledger
        self._gate = gate
        self._scheduler = scheduler
        self._viewers: dict[str, float] = {}
        self._sent: dict[str, str] = {}
        self._next = 0.0

    def details(self, body: dict[str, Any]) -> None:
        """Opens the window of a release (or of a deployment's release)."""
        value = body["actions"][0]["value"].partition(":")[0]
        db = self._ledger.connection
        row = int(value) if value.isdigit() else queries.deployment(db, value).release_id
        self._gate.call("views.open", trigger_id=body["trigger_id"], view=details(queries.release(db, row)))

    def logs(self, body: dict[str, Any]) -> None:
        """Opens a window with the last lines of the right log."""
        deployment = queries.deployment(self._ledger.connection, body["actions"][0]["value"])
        found = logs.tail(self._settings.site.shared, deployment)
        text = f"*{safe(found.name)}*\n{block_code(found.text, 2700)}" if found.name else "There is no log yet."
        view = modal(f"Log of {deployment.id}", [section(text).to_dict()])
        self._gate.call("views.open", trigger_id=body["trigger_id"], view=view)

    def opened(self, event: dict[str, Any]) -> None:
        """Somebody looks at Home."""
        if event.get("tab") == "home":
            self._viewers[event["user"]] = time.monotonic()
            self._publish(event["user"], self.view())

    def refresh(self) -> None:
        """Home, for those who opened it lately; at most every AGAIN_S seconds, and only when it differs."""
        now = time.monotonic()
        viewers = [user for user, since in list(self._viewers.items()) if now - since < WATCHED_S]
        if not viewers or now < self._next:
            return
        self._next = now + AGAIN_S
        view = self.view()
        for user in viewers:
            self._publish(user, view)

    def view(self) -> dict:
        """The home tab as of now."""
        db, now = self._ledger.connection, self._ledger.clock()
        found = queries.deployments(db)
        waiting = queries.releases_in(db, releases.OFFERED, releases.SNOOZED)
        hours = self._settings.watch.promise_hours
        clocks = {}
        for row in {r.id for r in waiting} | {d.release_id for d in found if d.release_id}:
            if (clock := promise.clock(db, queries.release(db, row), hours)) is not None:
                clocks[row] = clock.words(now)
        return home(
            Now(
                deployments=found,
                servers={d.id: queries.servers_of(db, d.id) for d in found},
                waiting=waiting,
                gpus=looks.gpus(self._scheduler.snapshot(()), self._scheduler.capacity()),
                spent=looks.spent(looks.today(self._settings, now)),
                at=now,
                clocks=clocks,
            )
        )

    def _publish(self, user: str, view: dict) -> None:
        digest = hashlib.sha256(json.dumps(view).encode()).hexdigest()
        if self._sent.get(user) != digest:
            try:
                self._gate.call("views.publish", user_id=user, view=view)
            except SlackRefused:  # Home is not enabled for the app, or the person has left
                self._viewers.pop(user, None)
                return
            self._sent[user] = digest

    def register(self, app: App, ack: Callable, listen: Callable[[Callable[[dict], None]], Callable]) -> None:
        app.action("details")(ack=ack, lazy=[listen(self.details)])
        app.action("logs")(ack=ack, lazy=[listen(self.logs)])
        app.event("app_home_opened")(ack=ack, lazy=[self.opened])
