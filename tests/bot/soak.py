"""A bad month of Slack: a third of the calls fail, each in its own way, and the bot is killed now and then."""

import contextlib
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from lifecycle import queries
from lifecycle.errors import ChatUnavailable
from lifecycle.jobs import Forecast
from lifecycle.models import ModelFacts
from tests.bot.office import BOB, Office
from tests.lifecycle.town import plan

WAYS = ("fail", "lose_answers", "rate_limit")
RESTART_EVERY = 25


@dataclass(frozen=True)
class Soaked:
    cards: int
    repeated: int
    missed: int
    calls: int
    failed: int
    restarts: int


def soak(folder: Path, stack: contextlib.ExitStack, number: int, dice: random.Random) -> Soaked:
    """Announce `number` releases, told in bursts; then look what is in the channel."""
    office = Office(folder, stack)
    share = 1 / 8  # three faults one after the other: 1 - (7/8)³ is a third
    for way in WAYS:
        office.slack.control.faults(**{way: {"count": 10**9, "share": share, "retry_after": 0}})
    names, restarts, rounds, done = [f"acme/m{n:04d}" for n in range(number)], 0, 0, 0
    while done < number or _behind(office):
        burst = min(number - done, dice.randint(0, 10))
        _offer(office, names[done : done + burst])
        done += burst
        with contextlib.suppress(ChatUnavailable):
            office.chat.tell()
        rounds += 1
        if rounds % RESTART_EVERY == 0:
            office.restart()
            restarts += 1
        if rounds > 20 * number + 200:
            raise AssertionError(f"after {rounds} rounds Slack still does not know everything")
    calls = office.slack.control.requests()
    office.slack.control.clear()
    cards = Counter(_titles(office))
    office.stop()
    return Soaked(
        cards=sum(cards.values()),
        repeated=sum(n - 1 for n in cards.values()),
        missed=sum(name not in cards for name in names),
        calls=len(calls),
        failed=sum(bool(call.get("fault")) for call in calls),
        restarts=restarts,
    )


def _offer(office: Office, names: list[str]) -> None:
    ledger = office.parts.ledger
    with ledger.write():
        for name in names:
            sha = name.encode().hex().zfill(40)
            ledger.found("model", name, sha, published_at=ledger.clock())
            release = queries.release_of(ledger.connection, "model", name, sha)
            offered = plan(name)
            if release.id % 3 == 0:
                offered = replace(offered, forecast=Forecast(starts_at=None, victims=(BOB,)))
            ledger.learn(release, ModelFacts(repo=name, revision=sha), offered)
            ledger.move_release(release, "offered")


def _behind(office: Office) -> bool:
    db = office.parts.ledger.connection
    told = db.execute("SELECT value FROM cursors WHERE name = 'told_slack'").fetchone()
    latest = db.execute("SELECT max(id) FROM events").fetchone()[0]
    return told is None or told[0] < latest


def _titles(office: Office) -> list[str]:
    """Of every message in the channel, by pages: a person's window shows the last 500 only."""
    gate = office.chat.gate
    where, cursor, found = gate.channel_id("#models"), "", []
    while True:
        page = gate.call("conversations.history", channel=where, limit=50, **({"cursor": cursor} if cursor else {}))
        found += [m["blocks"][0]["text"]["text"] for m in page["messages"] if m.get("blocks")]
        cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
        if not cursor:
            return found
