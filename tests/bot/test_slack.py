"""The bot and the lab's Slack: real slack_bolt over a real socket, real Hub protocol, real SMTP."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from bot.slack.gate import SlackGate
from lab.slack.person import buttons, words
from lifecycle import deployments, queries, releases
from lifecycle.errors import ChatUnavailable, HubUnavailable
from lifecycle.jobs import Forecast
from lifecycle.ledger import Ledger
from tests.bot.office import BOB, MODEL, Office
from tests.waiting import until


@pytest.fixture
def office(quiet_office: Office) -> Office:
    return quiet_office


def card(office: Office, repo: str = MODEL) -> dict:
    return office.alice.sees("#models", lambda m: repo in words(m) and not m.get("ephemeral_to"))


def test_a_published_model_becomes_a_card_with_the_plan(office: Office) -> None:
    """Published, seen, planned, shown: facts, sizes and buttons; mail goes out; nobody is pinged."""
    office.publish()
    office.look()
    message = card(office)
    shown = words(message)
    for expected in ("LlamaForCausalLM", "apache-2.0", "1.8 MB", "2 nodes × 1 toy", "tensor 2 × pipeline 1", "nobody"):
        assert expected in shown
    assert buttons(message) == ["approve", "approve_quantized", "details", "later", "skip"]
    assert message["pings"] == []
    assert [m.subject for m in office.mail.messages] == [f"New: {MODEL}"]


def test_the_past_of_an_organisation_is_not_announced(tmp_path: Path) -> None:
    """What was there at the first look stays silent; what comes later, even with an old date, is news."""
    with contextlib.ExitStack() as stack:
        office = Office(tmp_path, stack)
        office.publish("acme/old")
        office.look()
        assert office.alice.messages("#models") == []
        office.hub.publish({"README.md": "secret"}, "acme/hidden", private=True, created_at="2020-01-01T00:00:00.000Z")
        office.look()
        assert office.alice.messages("#models") == []
        office.publish("acme/hidden")
        office.hub.make_public("acme/hidden")
        office.look()
        assert "acme/hidden" in words(office.alice.messages("#models")[0])
        office.stop()


def test_approve_by_click(office: Office) -> None:
    """An approver's click makes the deployment; the second click, and a stranger's, get a friendly answer."""
    office.publish()
    office.look()
    office.chat.connect()
    assert office.bob.click("approve", channel="#models")
    office.bob.sees("#models", "Only approvers may do that")
    assert queries.deployments(office.parts.ledger.connection) == []
    ts = card(office)["ts"]
    assert office.alice.click("approve", channel="#models", ts=ts)
    assert office.alice.click("approve", channel="#models", ts=ts)
    office.alice.sees("#models", "alice was faster")
    office.chat.tell()
    (deployment,) = queries.deployments(office.parts.ledger.connection)
    assert (deployment.model, deployment.state, deployment.created_by) == (MODEL, deployments.CACHING, "alice")
    assert "CACHING" in words(card(office)), "the same message shows how it is getting on"
    replies = office.alice.thread("#models", ts)[1:]
    assert "alice approved it" in words(replies[0])


def test_slash_commands(office: Office) -> None:
    """/status, /deploy --plan, a typo, a wrong flag, help: each answered to the person alone, with what to do."""
    office.publish()
    office.look()
    office.chat.connect()
    for command, text, expected in [
        ("/status", "", "acme/tiny"),
        ("/status", "tinny", "no deployment 'tinny'"),
        ("/deploy", f"{MODEL} --plan", "tensor 2 × pipeline 1"),
        ("/deploy", "acme/tinny", "Did you mean acme/tiny"),
        ("/deploy", "acne/tiny", "Did you mean acme/tiny"),
        ("/deploy", f"{MODEL} --nodes many", "whole number"),
        ("/deploy", "'", "can't be read"),
        ("/deploy", "", "/deploy org/model"),
        ("/promote", "nothing stable", "no deployment"),
    ]:
        assert office.alice.command(command, text)
        office.alice.sees("#models", lambda m, e=expected: e in words(m) and m.get("ephemeral_to"))
    assert office.alice.command("/deploy", MODEL)
    office.alice.sees("#models", "Approved: acme/tiny is on its way")


def test_owners_are_told_before_and_after(office: Office) -> None:
    """The owner gets a direct message and a mail when the plan is approved, in words that can't ping or format."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    plan = replace(release.plan, forecast=Forecast(starts_at=None, victims=(BOB,)))
    made = ledger.approve(release, plan, by="alice")
    office.chat.tell()
    assert "your job 17 (pretrain" in words(office.bob.dms()[-1])
    assert "2.0 GPU-hours at stake" in words(office.bob.dms()[-1])
    assert "may be preempted soon" in words(office.alice.messages("#research")[0])
    (victim,) = queries.victims_of(ledger.connection, made)
    ledger.move_victim(victim, "requeued")
    office.chat.tell()
    assert "was preempted by acme/tiny" in words(office.bob.dms()[-1])
    assert "waits again" in words(office.alice.messages("#research")[0])
    assert len(office.alice.messages("#research")) == 1
    assert [m.recipients for m in office.mail.messages if "17" in m.subject] == [("bob@example.com",)] * 2


def test_what_comes_from_outside_can_neither_ping_nor_format(office: Office) -> None:
    """A licence that shouts at the channel is shown as it stands."""
    office.publish(**{"README.md": "---\nlicense: '<!channel> *free* <http://evil|click>'\n---\n"})
    office.look()
    message = card(office)
    assert message["pings"] == []
    assert "&lt;!channel&gt;" in words(message)


@pytest.mark.parametrize("how", ["503", "refuse"])
def test_slack_down_loses_nothing_and_repeats_nothing(office: Office, how: str) -> None:
    """While Slack is down the ledger goes on; afterwards everything is told once."""
    office.slack.control.outage(how)
    office.publish()
    with pytest.raises(ChatUnavailable):
        office.look()
    with pytest.raises(ChatUnavailable):
        office.chat.tell()
    office.slack.control.outage(False)
    office.chat.tell()
    office.chat.tell()
    assert len(office.alice.messages("#models")) == 1


def test_a_lost_answer_posts_nothing_twice(office: Office) -> None:
    """Slack did post, we never heard: after a restart the message is found by its key and not sent again."""
    office.publish()
    office.slack.control.lose_answers(1, ("chat.postMessage",))
    with pytest.raises(ChatUnavailable):
        office.look()
    office.restart()
    office.chat.tell()
    office.chat.tell()
    assert len(office.alice.messages("#models")) == 1
    row = office.parts.ledger.connection.execute("SELECT ts FROM posts WHERE key LIKE 'release:%'").fetchone()
    assert row["ts"] == office.alice.messages("#models")[0]["ts"]


def test_rate_limits_are_obeyed(office: Office) -> None:
    """429 with Retry-After: no further call until it is over."""
    office.publish()
    office.slack.control.rate_limit(1, retry_after=60)
    with pytest.raises(ChatUnavailable):
        office.look()
    before = len(office.slack.control.requests("chat.postMessage"))
    office.chat.tell()
    assert len(office.slack.control.requests("chat.postMessage")) == before


def test_a_repository_without_weights_waits_for_them(office: Office) -> None:
    """No weights: a card with one plain sentence and no Approve; a push completes it, the same story goes on."""
    office.hub.publish({"README.md": "soon"}, MODEL)
    office.look()
    assert buttons(card(office)) == []
    office.publish()
    office.look()
    shown = until(lambda: [m for m in office.alice.messages("#models") if "approve" in buttons(m)], 5, "a card")
    assert len(shown) == 1


def test_hub_down_is_said_once_and_heals(office: Office) -> None:
    """The Hub answers 503: a hiccup is not spoken of; a Hub that stays down is, once, and its return."""

    def said(text: str) -> int:
        return sum(text in words(m) for m in office.alice.messages("#models"))

    office.hub.spoil("/api/models", status=503, times=1)
    office.look()
    assert said("503") == 0
    with office.parts.ledger.write() as db:
        db.execute("UPDATE watches SET polled_at = polled_at - 86400")
    office.hub.spoil("/api/models", status=503, times=3)
    for _ in range(3):
        office.look()
    assert (said("503"), said("answers again")) == (1, 0)
    office.publish()
    office.look()
    card(office)
    assert (said("503"), said("answers again")) == (1, 1)


def test_the_gate_puts_and_updates_by_key(office: Office, tmp_path: Path) -> None:
    """Same key, same content: no call. Same key, new content: an update. A refused post is kept with its reason."""
    from bot.slack.cards import message
    from bot.slack.text import section

    ledger: Ledger = office.parts.ledger
    gate: SlackGate = office.chat.gate
    one, two = message("one", [section("one")]), message("two", [section("two")])
    ts = gate.put("k", "#models", one)
    calls = len(office.slack.control.requests())
    assert gate.put("k", "#models", one) == ts
    assert len(office.slack.control.requests()) == calls
    assert gate.put("k", "#models", two) == ts
    assert words(office.alice.messages("#models")[-1]).startswith("two")
    assert gate.put("lost", "#nowhere", one) is None
    error = ledger.connection.execute("SELECT error FROM posts WHERE key = 'lost'").fetchone()[0]
    assert "channel_not_found" in error


def test_watch_failures_are_transient(office: Office) -> None:
    """A single source that fails raises HubUnavailable, not something foreign."""
    office.hub.stop()
    with pytest.raises(HubUnavailable):
        office.parts.hub_watch.look("hub:acme")


def test_an_owner_whom_nobody_knows_is_told_in_the_channel(office: Office) -> None:
    """Where researchers have no channel of their own, in the one that there is; the summary, too, kept up to date."""
    slack = office.settings.slack.model_copy(update={"research_channel": ""})
    office.settings = office.settings.model_copy(update={"slack": slack})
    office.restart()
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    stranger = replace(BOB, user="nobody-knows-me")
    made = ledger.approve(
        release, replace(release.plan, forecast=Forecast(starts_at=None, victims=(stranger,))), by="alice"
    )
    office.look()
    shown = "\n".join(words(m) for m in office.alice.messages("#models"))
    assert "nobody-knows-me: Heads-up: your job 17" in shown and "1 research job make room" in shown
    (victim,) = queries.victims_of(ledger.connection, made)
    ledger.move_victim(victim, "cancelled")
    office.look()
    shown = [words(m) for m in office.alice.messages("#models")]
    assert any("nobody-knows-me" in m and "please submit it again" in m for m in shown)
    assert sum("make room for" in m for m in shown) == 1 and any("must be resubmitted" in m for m in shown)


def test_when_the_nodes_come_back_those_who_made_room_hear_it(office: Office) -> None:
    """With the GPU-hours that were taken and what has become of each job; whose job was spared hears nothing."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    lucky = replace(BOB, handle="18", user="carol")
    plan = replace(release.plan, forecast=Forecast(starts_at=None, victims=(BOB, lucky)))
    made = ledger.approve(release, plan, by="alice")
    one, two = queries.victims_of(ledger.connection, made)
    ledger.move_victim(one, "cancelled")
    ledger.move_victim(two, "spared")
    ledger.note("server.gone", deployment_id=made, detail={"gpu_hours": 2.5})
    ledger.note("server.lost", deployment_id=made, detail={"gpu_hours": 0.5})
    for event in ("cancelled", "drained"):
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    office.chat.tell()
    told = words(office.bob.dms()[-1])
    assert "acme/tiny has ended after 3.0 GPU-hours" in told and "must be submitted again" in told
    summary = words(office.alice.sees("#research", "The nodes are back"))
    assert "Of 1 job that made room: 1 must be submitted again" in summary
    assert not [m for m in office.alice.messages("#research") if words(m).startswith("carol: The nodes")]


def test_the_warning_time_is_in_the_heads_up(office: Office) -> None:
    """How long nothing will happen yet."""
    from bot import stories
    from lifecycle.records import Event

    detail = {"handle": "17", "name": "n", "user": "games", "gpu_hours": 2}
    event = Event(id=1, at=0, kind="victim.expected", release_id=None, deployment_id="d", server_id=None, victim_id=1,
                  old="", new="", by="dayzero", detail=detail)  # fmt: skip
    office.publish()
    office.look()
    (release,) = queries.releases_in(office.parts.ledger.connection, releases.OFFERED)
    made = office.parts.ledger.approve(release, release.plan, by="alice")
    deployment = queries.deployment(office.parts.ledger.connection, made)
    assert "Nothing is submitted for 10 min from now on." in stories.owner_line(event, deployment, 10)
    assert "Nothing is submitted" not in stories.owner_line(event, deployment)
