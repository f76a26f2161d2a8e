"""Webhooks: is each complete, and, when a person asks for this part by name, what does its receiver say to a test?"""

import time
from collections.abc import Callable

import httpx

from bot.checks.outside import TIMEOUT_S, WAYS_OUT
from bot.checks.result import Found
from bot.hooks.catalogue import checked
from bot.hooks.parcel import VERSION, parcel
from lifecycle.errors import BadSettings
from lifecycle.sections.telling import Webhook
from lifecycle.settings import Settings

TEST = {
    "v": VERSION,
    "id": 0,
    "event": "ping",
    "by": "dayzero check",
    "state": None,
    "model": None,
    "revision": None,
    "deployment": None,
    "release": None,
    "sentence": "A test: nothing has happened.",
}
"""What a receiver gets; `at` is added. No event of the ledger is called so."""

TOGETHER_S = 15.0
"""For all receivers: a check has not much longer."""

SHOWN = 120
"""So many letters of an answer are shown."""

Ask = Callable[[Settings, str, Webhook], Found]


def ready(settings: Settings) -> Found:
    """Names and secrets; nothing is sent, because a GitLab trigger starts a pipeline."""
    found = _each(settings, _made)
    if not found.ok:
        return found
    names = ", ".join(settings.webhooks.to)
    return Found(True, f"Complete: {names}. `dayzero check webhooks` sends each a test event.")


def answered(settings: Settings) -> Found:
    """A signed test event to each receiver, and its answer."""
    return _each(settings, _sent)


def _each(settings: Settings, ask: Ask) -> Found:
    if not settings.webhooks.to:
        return Found(None, "[webhooks.to] is empty: nobody else is told.")
    found = {name: ask(settings, name, hook) for name, hook in settings.webhooks.to.items()}
    steps = [f"{name}: {one.next_step}" for name, one in found.items() if not one.ok]
    sentence = " ".join(f"{name}: {one.sentence}" for name, one in found.items())
    return Found(not steps, sentence, "\n".join(steps))


def _made(settings: Settings, name: str, hook: Webhook) -> Found:
    try:
        checked(f"webhooks.to.{name}.events", hook.events)
        parcel(name, hook, settings.webhooks, {**TEST, "at": time.time()}, time.time())
    except BadSettings as error:
        return Found(False, str(error), error.next_step)
    return Found(True, "complete.")


def _sent(settings: Settings, name: str, hook: Webhook) -> Found:
    if not (whole := _made(settings, name, hook)).ok:
        return whole
    made = parcel(name, hook, settings.webhooks, {**TEST, "at": time.time()}, time.time())
    patience = min(TIMEOUT_S, TOGETHER_S / len(settings.webhooks.to))
    try:
        answer = httpx.post(made.url, content=made.body, headers=dict(made.headers), timeout=patience)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Found(False, f"no answer ({type(error).__name__}).", WAYS_OUT)
    words = " ".join("".join(c if c.isprintable() else " " for c in answer.text[: 4 * SHOWN]).split())[:SHOWN]
    said = f"{answer.status_code}{f': {words}' if words else ''}."
    return Found(answer.is_success, said, "" if answer.is_success else _remedy(answer.status_code))


def _remedy(status: int) -> str:
    if 300 <= status < 400:
        return "It sends us elsewhere, and a signed parcel does not follow: give the final address."
    if status in (401, 403):
        return "It does not accept our signature or token: compare the secret on both sides."
    return "Mend its address in the settings." if status == 404 else "Ask who runs it."
