"""What happens upstream to a model that is deployed here: a new revision, a new name, its end."""


import pytest

from bot.watch.listing import changed_files
from lab.slack.person import buttons, words
from lifecycle import queries, releases
from tests.bot.office import MODEL, Office, weights


@pytest.fixture
def office(quiet_office: Office) -> Office:
    return quiet_office


def deployed(office: Office) -> str:
    """The id of a deployment of MODEL, past its download."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, release.plan, by="alice")
    ledger.move_deployment(queries.deployment(ledger.connection, made), "cached")
    return made


def said(office: Office, text: str) -> list[str]:
    return [shown for m in office.alice.messages("#models") if text in (shown := words(m))]


def test_new_weights_of_what_is_served_are_proposed_as_an_update(office: Office) -> None:
    """A card of its own with Approve, and one word about it; a push on top goes into the same card."""
    made = deployed(office)
    for size in (1_700_000, 1_600_000):
        office.hub.push(MODEL, {"model.safetensors": weights(size)})
        for _ in range(2):
            office.look()
    (told,) = said(office, "has a new revision")
    assert f"{MODEL} has a new revision (model.safetensors changed); {made} serves the one before" in told
    cards = [m for m in office.alice.messages("#models") if "approve" in buttons(m)]
    assert len(cards) == 1 and "update of" in words(cards[0])
    first, update = queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)
    assert (first.state, update.state, update.notes["updates"]) == ("APPROVED", "OFFERED", made)


def test_a_new_readme_of_what_is_served_is_no_news(office: Office) -> None:
    """It is in the history, nothing is in the channel; weights that come after it count."""
    deployed(office)
    shown = len(office.alice.messages("#models"))
    office.hub.push(MODEL, {"README.md": "---\nlicense: mit\n---\nBetter words.\n", "logo.png": b"png"})
    office.look()
    assert len(office.alice.messages("#models")) == shown
    assert len(queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)) == 1
    office.hub.push(MODEL, {"tokenizer.json": "{}"})
    office.look()
    assert len(said(office, "tokenizer.json changed")) == 1


def test_a_deployed_model_keeps_its_name_when_the_hub_changes_it(office: Office) -> None:
    """Said once; the new name is no new model; what is pushed under it is an update, its end is its end."""
    made = deployed(office)
    office.hub.rename(MODEL, "acme/small")
    for _ in range(2):
        office.look()
    (told,) = said(office, "is called acme/small")
    assert f"{MODEL} is called acme/small on the Hub now. {made} goes on under its old name." in told
    assert len(queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)) == 1
    office.hub.push("acme/small", {"model.safetensors": weights(1_700_000)})
    office.look()
    assert len(said(office, "acme/small has a new revision")) == 1
    office.publish("acme/other")
    office.look()
    office.hub.delete("acme/small")
    for _ in range(2):
        office.look()
    (gone,) = said(office, "goes on with the weights")
    assert f"acme/small is gone from the Hub, or private. {made} goes on with the weights that are here" in gone


def test_a_card_goes_along_with_its_repository(office: Office) -> None:
    """Thirty commits and a new name while nobody has decided: one card, at last with the last commit and name."""
    office.publish()
    office.look()
    for n in range(3):
        office.hub.push(MODEL, {"notes.json": str(n)})
        office.look()
    office.hub.rename(MODEL, "acme/final")
    office.hub.push("acme/final", {"notes.json": "9"})
    for _ in range(2):
        office.look()
    (card,) = office.alice.messages("#models")
    assert "acme/final" in words(card) and "approve" in buttons(card)
    (release,) = queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)
    assert release.plan.revision == release.revision == office.hub.store.find("acme/final").head.sha


def test_what_sleeps_goes_on_sleeping_when_it_is_pushed_to(office: Office) -> None:
    """Later means later: the new commit is looked at when the time has come."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    ledger.move_release(release, "snoozed", wake_at=ledger.clock() + 3600)
    office.hub.push(MODEL, {"notes.json": "1"})
    office.look()
    (release,) = queries.releases_in(ledger.connection, releases.FOUND)
    assert not {"smaller", "planned_at"} & set(release.notes), "no button approves the commit before"
    assert release.plan is None and release.wake_at > ledger.clock() + 3000
    ledger.amend("releases", release.id, wake_at=0)
    office.look()
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    assert release.plan.revision == release.revision


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("model.safetensors", True),
        ("config.json", True),
        ("tokenizer/merges.txt", True),
        ("chat_template.jinja", True),
        ("README.md", False),
        ("LICENSE", False),
        ("LICENSE.txt", False),
        ("images/logo.PNG", False),
        (".gitattributes", False),
    ],
)
def test_documents_change_nothing_of_what_is_served(path: str, matters: bool) -> None:
    """Added, removed or changed."""
    for before, after in (({}, {path: "1"}), ({path: "1"}, {}), ({path: "1"}, {path: "2"})):
        assert changed_files(before, after) == ([path] if matters else [])
    assert changed_files({path: "1"}, {path: "1"}) == []
