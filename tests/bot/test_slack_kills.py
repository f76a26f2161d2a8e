"""The bot is killed after any of its calls to Slack, the answer unread: afterwards everything is there, once."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from slack_sdk import WebClient

from lab.slack.person import words
from lifecycle import deployments, queries, releases
from lifecycle.jobs import Forecast
from tests.bot.office import BOB, Office

PREVIEW = ("cached", "healthy", "listed")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Deadly:
    """Every call reaches Slack; after the one numbered `at` nothing more runs."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int):
        self.calls, self.at = [], at
        real = WebClient.api_call

        def api_call(client: WebClient, api_method: str, **more: object):
            answer = real(client, api_method, **more)
            self.calls.append(api_method)
            if len(self.calls) == self.at:
                raise Killed
            return answer

        patch.setattr(WebClient, "api_call", api_call)


def story(office: Office) -> None:
    """In the ledger, before anything is told: a card, a preempted researcher, a report, a failure, a framework."""
    office.publish()
    with office.parts.ledger.write() as db:
        db.execute("UPDATE watches SET due_at = 0")
    office.parts.watch()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, replace(release.plan, forecast=Forecast(starts_at=None, victims=(BOB,))), by="alice")
    for event in PREVIEW:
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    folder = office.folder / "report"
    folder.mkdir()
    for name in ("report.png", "report.html"):
        (folder / name).write_bytes(b"x")
    detail = {"outcome": "PASS", "report": str(folder / "report.html"), "picture": str(folder / "report.png"), "run": 1}
    ledger.move_deployment(queries.deployment(ledger.connection, made), "passed", verdict=detail, detail=detail)
    ledger.move_deployment(queries.deployment(ledger.connection, made), "broke", detail={"sentence": "It fell."})
    assert queries.deployment(ledger.connection, made).state == deployments.BROKEN


def told(office: Office) -> list[str]:
    """Everything that people see, as one sorted list."""
    (card,) = office.alice.messages("#models")
    replies = office.alice.thread("#models", card["ts"])[1:]
    seen = [card, *replies, *office.alice.messages("#research"), *office.bob.dms(), *office.alice.dms()]
    first = [" ".join(words(message).split())[:60] for message in seen]
    files = [file["title"] for message in seen for file in message.get("files") or ()]
    return sorted(first + files)


def test_killed_after_each_call_nothing_is_lost_and_nothing_is_said_twice(tmp_path: Path) -> None:
    """As many runs as the story has calls; whatever the call, the next process brings Slack to the same end."""
    with contextlib.ExitStack() as stack:
        office = Office(tmp_path / "calm", stack)
        office.look()
        story(office)
        with pytest.MonkeyPatch.context() as patch:
            calm = Deadly(patch, at=0)
            office.chat.tell()
        wanted, calls = told(office), len(calm.calls)
        office.stop()
    assert calls >= 10 and len(wanted) >= 9, (calm.calls, wanted)
    for at in range(1, calls + 1):
        with contextlib.ExitStack() as stack:
            office = Office(tmp_path / str(at), stack)
            office.look()
            story(office)
            with pytest.MonkeyPatch.context() as patch:
                deadly = Deadly(patch, at)
                with pytest.raises(Killed):
                    office.chat.tell()
            office.restart()
            office.chat.tell()
            office.chat.tell()
            assert told(office) == wanted, f"killed after call {at}, {deadly.calls[-1]}"
            office.stop()
