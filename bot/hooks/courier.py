"""Brings webhooks to their receivers: each at least once, in order, with back-off; what nobody takes is kept."""

import random
from collections.abc import Callable

import httpx

from bot.hooks.catalogue import checked, wanted
from bot.hooks.parcel import parcel, payload
from lifecycle import cursors, deliveries, queries
from lifecycle.deliveries import Delivery
from lifecycle.errors import BadSettings, NotFound
from lifecycle.ledger import Ledger
from lifecycle.records import Event
from lifecycle.sections.telling import Webhook
from lifecycle.settings import Settings

TIMEOUT_S = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 3600.0
AGAIN = frozenset({408, 409, 425, 429})
"""Refusals that may pass by themselves; so may all from 500 on. Any other answer of 400 and above is final."""


class Courier:
    """`step()` writes down what is to be told, and takes one round to all who are due. Never raises for a receiver."""

    def __init__(self, settings: Settings, ledger: Ledger, spread: Callable[[], float] = random.random):
        self._settings = settings.webhooks
        self._ledger = ledger
        self._spread = spread
        for name, hook in self._settings.to.items():
            checked(f"webhooks.to.{name}.events", hook.events)
        (cursors.begin if self._settings.to else cursors.forget)(ledger, deliveries.CURSOR)
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)  # a signed parcel goes nowhere else

    def close(self) -> None:
        self._client.close()

    def step(self) -> int:
        """How many were taken."""
        hooks = self._settings.to
        if not hooks:
            return 0
        deliveries.enqueue(
            self._ledger, lambda event: [name for name, hook in hooks.items() if wanted(event.kind, hook.events)]
        )
        out_of_reach: set[str] = set()
        done = 0
        for delivery in deliveries.due(self._ledger.connection, self._ledger.clock()):
            if delivery.hook in out_of_reach:
                continue  # the one before it waits: keep their order, and spare whoever is down
            if (hook := hooks.get(delivery.hook)) is None:
                deliveries.refused(self._ledger, delivery, "No such webhook in the settings any more.", None)
            elif self._bring(delivery, hook):
                done += 1
            else:
                out_of_reach.add(delivery.hook)
        return done

    def _bring(self, delivery: Delivery, hook: Webhook) -> bool:
        """False: it comes again later, and those behind it wait."""
        try:
            told = payload(*self._about(delivery.event_id))
            made = parcel(delivery.hook, hook, self._settings, told, self._ledger.clock())
            answer = self._client.post(made.url, content=made.body, headers=dict(made.headers))
        except BadSettings as error:
            return self._later(delivery, error.advice, None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._later(delivery, f"No answer ({type(error).__name__}).", None)
        if answer.is_success:
            deliveries.taken(self._ledger, delivery)
            return True
        said = f"It answered {answer.status_code}."
        if answer.status_code >= 500 or answer.status_code in AGAIN:
            after = answer.headers.get("retry-after", "")
            return self._later(delivery, said, float(after) if after.isdigit() else None)
        deliveries.refused(self._ledger, delivery, said, None)
        return True  # what is refused for good holds nobody up

    def _later(self, delivery: Delivery, error: str, pause_s: float | None) -> bool:
        attempts = delivery.attempts + 1
        if attempts >= self._settings.attempts:
            deliveries.refused(self._ledger, delivery, f"{error} Given up after {attempts} attempts.", None)
            return False
        wait = min(FIRST_PAUSE_S * 4 ** (attempts - 1), LONGEST_PAUSE_S) * (1 + 0.2 * self._spread())
        deliveries.refused(self._ledger, delivery, error, self._ledger.clock() + max(wait, pause_s or 0))
        return False

    def _about(self, event_id: int) -> tuple:
        db = self._ledger.connection
        event = Event.of(db.execute("SELECT * FROM events WHERE id = ?", (event_id,)).fetchone())
        try:
            deployment = queries.deployment(db, event.deployment_id) if event.deployment_id else None
            release = queries.release(db, event.release_id) if event.release_id else None
        except NotFound:
            return event, None, None
        return event, deployment, release
