"""Looking by Slack: the whole plan, logs, App Home, /status in its forms; and clicks on what is out of date."""

import time
from dataclasses import replace

import pytest

from bot import offers as offers_module
from bot import promise
from bot.slack.cards import release_card
from lab.slack.person import buttons, words
from lifecycle import actions, queries, releases
from lifecycle.errors import Refused
from lifecycle.jobs import Forecast
from lifecycle.runfolder import RunFolder, write_json
from tests.bot.office import BOB, MODEL, Office, answered
from tests.waiting import until


def release_of(office: Office):
    return queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)[0]


def approved(office: Office) -> str:
    release = release_of(office)
    made, _ = actions.approve(office.parts.ledger, release.id, release.plan.digest, by="alice")
    return made


def age(office: Office, seconds: float) -> None:
    """The plan was made so long ago."""
    ledger, release = office.parts.ledger, release_of(office)
    ledger.amend("releases", release.id, notes={**release.notes, "planned_at": time.time() - seconds})


def test_details_show_the_whole_plan(office: Office) -> None:
    """A window with every number, the engines' flags, and the files; nobody needs to be an approver to look."""
    assert office.bob.click("details", channel="#models")
    shown = words(office.bob.modal(10))
    for expected in ("tensor", "digest", "time limit", "engine 1", "model.safetensors", "config.json", "1.8 MB"):
        assert expected in shown, expected


def test_the_right_log_opens(office: Office) -> None:
    """No log yet; then the download's; then the one that a server's failure names, by button, /status and for nobody
    outside the run folder, whatever the failure says."""
    name = approved(office)
    folder = RunFolder(office.settings.site.shared, name)
    office.chat.tell()
    assert office.bob.click("logs", channel="#models")
    assert "no log yet" in words(office.bob.modal(10))
    folder.cache.mkdir(parents=True, exist_ok=True)
    (folder.cache / "slurm-7.out").write_text("10%\r100% fetched `it`\n")
    assert office.alice.click("logs", channel="#models")
    shown = words(office.alice.modal(10))
    assert "100% fetched" in shown and "10%\r" not in shown
    ledger = office.parts.ledger
    ledger.move_deployment(queries.deployment(ledger.connection, name), "cached")
    server = folder.server(1)
    server.mkdir(parents=True)
    (server / "0-vllm-rank0.log").write_text("all is well\n")
    (server / "0-vllm-rank1.log").write_text("RuntimeError: the deciding line\n")
    write_json(server / "failure.json", {"sentence": "It broke.", "log": "0-vllm-rank1.log"})
    assert office.alice.command("/status", name)
    assert "the deciding line" in words(answered(office, "0-vllm-rank1.log"))
    (folder.path / "secret").write_text("not for you")
    write_json(server / "failure.json", {"sentence": "It broke.", "log": "../../secret"})
    assert office.alice.command("/status", MODEL)
    assert "not for you" not in words(answered(office, "0-vllm-rank"))


def test_a_click_on_an_old_plan_plans_again_and_asks_again(office: Office) -> None:
    """The settings changed since the card: no deployment, the new card, and the click on that one counts."""
    old = release_of(office).plan
    serving = office.settings.serving.model_copy(update={"context": 256})
    office.settings = office.settings.model_copy(update={"serving": serving})
    office.restart()
    office.chat.connect()
    age(office, 3600)
    ts = office.alice.sees("#models", lambda m: "approve" in buttons(m))["ts"]
    assert office.alice.click("approve", channel="#models", ts=ts)
    answered(office, "planned again: The plan is another one now. Look at the card as it is now")
    assert queries.deployments(office.parts.ledger.connection) == []
    assert release_of(office).plan.digest != old.digest and release_of(office).plan.context == 256
    office.chat.tell()
    assert "context 256" in words(office.alice.sees("#models", lambda m: m["ts"] == ts))
    assert office.alice.click("approve", channel="#models", ts=ts)
    answered(office, "Approved")
    (made,) = queries.deployments(office.parts.ledger.connection)
    assert made.plan.context == 256


def test_a_click_before_the_card_was_redrawn_is_asked_again(office: Office) -> None:
    """The ledger holds another plan than the one that was seen: nothing is approved."""
    assert office.alice.command("/deploy", f"{MODEL} --context 128 --plan")
    release = release_of(office)
    office.parts.offers.ask(MODEL, None, by="bob", context=128)
    assert office.alice.click("approve", channel="#models")
    answered(office, "has changed since you saw it")
    assert queries.deployments(office.parts.ledger.connection) == []
    assert release_of(office).plan.digest != release.plan.digest


class Forecaster:
    """A scheduler whose forecast is what the test says."""

    def __init__(self, *victims):
        self.victims = victims

    def forecast(self, script) -> Forecast:
        return Forecast(starts_at=None, victims=self.victims)


def test_only_more_victims_are_worth_asking_again(office: Office) -> None:
    """One more job to preempt: asked again. One fewer: approved with the shorter list. What was wished for stays."""
    parts = office.parts
    office.parts.offers.ask(MODEL, None, by="bob", context=128)
    seen = release_of(office)
    with_bob = offers_module.Offers(parts.ledger, parts.hub, parts.world.recipes, Forecaster(BOB), 0)
    age(office, 3600)
    with pytest.raises(Refused, match="would now preempt job 17"):
        with_bob.renew(seen.id, offers_module.sight(seen.plan))
    now = release_of(office)
    assert now.plan.context == 128 and now.plan.forecast.victims == (BOB,)
    age(office, 3600)
    without = offers_module.Offers(parts.ledger, parts.hub, parts.world.recipes, Forecaster(), 0)
    without.renew(now.id, offers_module.sight(now.plan))
    assert release_of(office).plan.forecast.victims == ()
    without.renew(now.id, offers_module.sight(release_of(office).plan))


def test_status_of_cluster_costs_and_history(office: Office) -> None:
    """Each is answered to the person alone; a name that nobody has is answered with the nearest, by model too."""
    name = approved(office)
    for text, expected in [
        ("cluster", "GPUs held: 0 by dayzero"),
        ("costs", "Nothing was called today"),
        ("history", "DECISION"),
        ("", "left of 24 h to preview"),
        ("acme/tinyy", "Did you mean acme/tiny"),
        (name + "x", f"Did you mean {name}"),
    ]:
        assert office.alice.command("/status", text)
        answered(office, expected)
    assert office.alice.command("/deploy", f"{MODEL} --contxt 5")
    answered(office, "Did you mean --context")


def test_home_shows_what_is_and_keeps_up(office: Office) -> None:
    """Opened: what waits. Approved: what is coming, with its clock, after the next round; nothing is sent in vain."""
    assert office.bob.open_home()
    until(lambda: "acme/tiny" in words(office.bob.home() or {}), 10, "the home tab")
    shown = words(office.bob.home())
    for expected in (
        "Nothing yet",
        "What waits for a decision",
        "GPUs:",
        "The cluster",
        "0 of 4 held",
        "Cost today:",
        "left of 24 h",
    ):
        assert expected in shown, expected
    name = approved(office)
    office.chat._looking._next = 0
    office.chat.tell()
    assert name in words(office.bob.home()) and "What waits for" not in words(office.bob.home())
    sent = len(office.slack.control.requests("views.publish"))
    office.chat._looking._next = 0
    office.chat.tell()
    assert len(office.slack.control.requests("views.publish")) == sent


def test_the_card_carries_the_clock_and_is_not_sent_each_minute(office: Office) -> None:
    """When it is due; an hour later it is the same card, and Slack is not called."""
    shown = words(office.alice.sees("#models", lambda m: "approve" in buttons(m)))
    assert "due in preview <!date^" in shown
    release, now = release_of(office), time.time()
    clock = promise.clock(office.parts.ledger.connection, release, 24)
    assert release_card(release, None, [], now, clock) == release_card(release, None, [], now + 3600, clock)
    reached = release_card(release, None, [], now, replace(clock, reached=clock.began + 7200))
    assert "in preview 2 h after publication" in words({"blocks": reached.blocks})
