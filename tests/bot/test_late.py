"""Slack that is switched on late hears how things stand, not all that has been; what comes from then on, it hears."""

from dataclasses import replace

import pytest

from bot.slack.chat import Chat
from lab.slack.person import words
from lifecycle import queries, releases
from tests.bot.office import MODEL, Office

PREVIEW = ("cached", "healthy", "listed", "passed")


def _served(office: Office) -> str:
    """A deployment that went all its way while nobody told Slack."""
    with office.parts.ledger.write() as db:
        db.execute("UPDATE watches SET due_at = 0")
    office.publish()
    office.parts.watch()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, release.plan, by="cli")
    for event in PREVIEW:
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    return made


def _seen(office: Office) -> list[str]:
    return [" ".join(words(message).split()) for message in office.alice.messages("#models")]


def _without_slack(office: Office) -> None:
    settings = office.settings.model_copy(
        update={"slack": office.settings.slack.model_copy(update={"channel": ""}),
                "mail": office.settings.mail.model_copy(update={"host": ""})}
    )  # fmt: skip
    parts = replace(office.parts, settings=settings)
    quiet = Chat(parts)
    quiet.tell()
    quiet.close()


def test_slack_switched_on_late_is_not_told_the_past(quiet_office: Office) -> None:
    """One greeting with what is served, one card for what lives, no reply for events of the past; then as always."""
    office = quiet_office
    _without_slack(office)
    made = _served(office)
    office.restart()
    office.chat.tell()
    greeting, card = _seen(office)
    assert "tells here from now on" in greeting
    assert MODEL in greeting and "preview" in greeting and MODEL in card
    post = office.alice.messages("#models")[1]
    assert len(office.alice.thread("#models", post["ts"])) == 1, "events of the past"
    office.restart()
    office.chat.tell()
    assert len(_seen(office)) == 2, "it greets once"
    ledger = office.parts.ledger
    ledger.move_deployment(queries.deployment(ledger.connection, made), "broke", detail={"sentence": "It fell."})
    office.chat.tell()
    assert "It fell." in " ".join(words(one) for one in office.alice.thread("#models", post["ts"])[1:])


def test_a_greeting_that_died_half_way_is_said_once(quiet_office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the greeting and the note that it was said, with more news in between: still one greeting."""
    office = quiet_office
    _without_slack(office)
    made = _served(office)
    office.restart()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bot.slack.tell.cursors.put", killed)
        with pytest.raises(KeyboardInterrupt):
            office.chat.tell()
    ledger = office.parts.ledger
    ledger.move_deployment(queries.deployment(ledger.connection, made), "broke", detail={"sentence": "It fell."})
    office.restart()
    office.chat.tell()
    greetings = [text for text in _seen(office) if "tells here from now on" in text]
    assert len(greetings) == 1
    (card,) = [one for one in office.alice.messages("#models") if "tells here" not in words(one)]
    assert "It fell." in " ".join(words(one) for one in office.alice.thread("#models", card["ts"])[1:])
