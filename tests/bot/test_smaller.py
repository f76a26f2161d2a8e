"""Approve quantized: the official copy if there is one, else FP8 on the fly; what was seen is what is approved."""

import time

import pytest

from bot.cli import main
from bot.sight import sight, smaller_of
from lab.slack.person import buttons, words
from lifecycle import queries, releases
from lifecycle.errors import Refused
from lifecycle.records import Deployment
from tests.bot.office import MODEL, Office, answered

COPY = f"{MODEL}-FP8"
BASE = f"---\nbase_model: {MODEL}\nbase_model_relation: quantized\nlicense: mit\n---\n"


@pytest.fixture
def office(quiet_office: Office) -> Office:
    return quiet_office


def offered(office: Office, repo: str = MODEL):
    office.look()
    return next(r for r in queries.releases_in(office.parts.ledger.connection, releases.OFFERED) if r.repo == repo)


def deployed(office: Office) -> Deployment:
    (made,) = queries.deployments(office.parts.ledger.connection)
    return made


def card(office: Office) -> dict:
    return office.alice.sees("#models", lambda m: "approve_quantized" in buttons(m), timeout=60)


def test_without_an_official_copy_it_is_fp8_on_the_fly(office: Office) -> None:
    """The card shows both plans; the click approves the quantized one, of the same commit, and no other."""
    office.publish()
    release = offered(office)
    assert smaller_of(release).gpus < release.plan.gpus
    office.chat.connect()
    shown = card(office)
    assert "*Quantized instead:* 1 node × 1 toy, fp8" in words(shown)
    assert buttons(shown) == ["approve", "approve_quantized", "details", "later", "skip"]
    assert office.bob.click("approve_quantized", channel="#models", ts=shown["ts"])
    office.bob.sees("#models", "Only approvers may do that", timeout=60)
    assert office.alice.click("approve_quantized", channel="#models", ts=shown["ts"])
    answered(office, "Approved")
    made = deployed(office)
    assert (made.model, made.revision, made.plan.quantization) == (MODEL, release.revision, "fp8")
    assert made.plan.digest == smaller_of(release).digest
    assert office.alice.click("approve", channel="#models", ts=shown["ts"])
    answered(office, "alice was faster")
    assert len(queries.deployments(office.parts.ledger.connection)) == 1


def test_the_official_copy_is_preferred(office: Office) -> None:
    """Of the same organisation, by what its card says; somebody else's is not official; the plan names the copy."""
    office.publish(COPY, **{"README.md": BASE})
    office.publish(f"stranger/{COPY.partition('/')[2]}", **{"README.md": BASE})
    office.publish()
    release = offered(office)
    found = smaller_of(release)
    assert found.model == COPY and "official quantized copy" in found.reasons[0]
    said = office.parts.offers.approve_smaller(release.id, sight(found), by="alice")
    assert "Approved" in said
    assert (deployed(office).model, deployed(office).release_id) == (COPY, release.id)


def test_what_was_seen_is_what_is_approved(office: Office) -> None:
    """Another plan than the one on the button, or one that is old and no longer holds: asked again, nothing is made."""
    office.publish()
    release = offered(office)
    with pytest.raises(Refused, match="changed since you saw it"):
        office.parts.offers.approve_smaller(release.id, "another-one", by="alice")
    office.publish(COPY, **{"README.md": BASE})
    ledger = office.parts.ledger
    ledger.amend("releases", release.id, notes={**release.notes, "planned_at": time.time() - 3600})
    with pytest.raises(Refused, match="planned again"):
        office.parts.offers.approve_smaller(release.id, sight(smaller_of(release)), by="alice")
    now = queries.release(ledger.connection, release.id)
    assert smaller_of(now).model == COPY and queries.deployments(ledger.connection) == []
    office.parts.offers.approve_smaller(now.id, sight(smaller_of(now)), by="alice")
    assert deployed(office).model == COPY


def test_quant_by_word(office: Office) -> None:
    """`--quant`: shown with --plan, approved without; what there is not is refused with what there is."""
    office.publish()
    offered(office)
    office.chat.connect()
    for text, expected in [
        (f"{MODEL} --quant fp8 --plan", "while it loads"),
        (f"{MODEL} --quant fp7", "Choose fp8"),
        (f"{MODEL} --quant awq", "no official awq copy"),
        (f"{MODEL} --quant fp8", "Approved"),
    ]:
        assert office.alice.command("/deploy", text)
        answered(office, expected)
    assert deployed(office).plan.quantization == "fp8"


def test_a_hub_that_fails_costs_only_the_second_plan(office: Office) -> None:
    """The list of copies gives no answer: the card comes with its plain plan."""
    office.publish()
    with office.parts.ledger.write() as db:
        db.execute("UPDATE watches SET due_at = 0")
    office.parts.hub.quantized = lambda *_: (_ for _ in ()).throw(Refused("The Hub says no."))
    release = offered(office)
    assert release.plan is not None and smaller_of(release) is None


def test_what_fits_only_when_quantized_is_offered_so(office: Office) -> None:
    """One node at most: the plain plan is refused, the card says why and offers the quantized one alone."""
    guards = office.settings.cluster.guards.model_copy(update={"max_nodes": 1})
    cluster = office.settings.cluster.model_copy(update={"guards": guards})
    office.settings = office.settings.model_copy(update={"cluster": cluster})
    office.restart()
    office.publish()
    release = offered(office)
    assert release.plan is None and smaller_of(release) is not None
    shown = card(office)
    assert buttons(shown) == ["approve_quantized", "details", "later", "skip"]
    assert "fit" in words(shown) and "Quantized instead" in words(shown)
    office.chat.connect()
    assert office.alice.click("approve_quantized", channel="#models", ts=shown["ts"])
    answered(office, "Approved")
    assert deployed(office).plan.nodes == 1


def test_quantized_from_the_command_line(
    office: Office, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`approve --quantized` is the same function; a digest that was not seen is refused."""
    office.publish()
    plan = smaller_of(offered(office))
    monkeypatch.setattr("bot.verbs.answer.load", lambda _: office.settings)
    assert main(["approve", MODEL, "--quantized", "--digest", "0" * 12]) == 1
    assert "has changed" in capsys.readouterr().err
    assert main(["approve", MODEL, "--quantized", "--digest", plan.digest]) == 0
    assert deployed(office).plan.digest == plan.digest
