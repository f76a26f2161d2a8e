"""What the service proposes by itself, with the button that does it: a swap, an update, another try. In one place."""

import json
from collections.abc import Callable

from slack_sdk.models.blocks import Block, ButtonElement

from bot import frameworks, successors
from bot.slack.text import actions
from bot.world import Parts
from lifecycle import queries
from lifecycle.ledger import Ledger
from lifecycle.records import Event

SWAPS = ("note.variant", "note.update")
"""Events about a release that could take the place of a deployment."""


def buttons(event: Event, ledger: Ledger) -> list[Block]:
    """What stands below an event's sentence; mostly nothing. The value says all that the click needs."""
    if event.kind == frameworks.KIND:
        return [_one("Retry", "again", event, [event.deployment_id, event.detail.get("image", "")])]
    if event.kind in SWAPS and event.release_id is not None:
        repo = queries.release(ledger.connection, event.release_id).repo
        return [_one("Swap", "swap", event, [event.deployment_id, repo])]
    return []


def _one(text: str, action: str, event: Event, value: list[str | None]) -> Block:
    button = ButtonElement(text=text, action_id=action, value=json.dumps(value), style="primary")
    return actions([button], block_id=f"{action}-{event.id}")


def clicks(parts: Parts) -> dict[str, Callable[[str, str], str]]:
    """Action → what it does with the button's value and the person's name; the sentence for that person."""

    def again(value: str, by: str) -> str:
        name, image = json.loads(value)
        return frameworks.again(parts.ledger, parts.settings, name, image, by=by)

    def swap(value: str, by: str) -> str:
        name, repo = json.loads(value)
        return successors.swap(successors.ways_of(parts), name, to=repo, by=by)[1]

    return {"again": again, "swap": swap}
