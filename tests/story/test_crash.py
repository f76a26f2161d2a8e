"""SIGKILL after every event of the story: it ends the same, and no job is submitted twice."""

import sys

import pytest

from lab.slack.person import words
from lab.slurm import probe
from tests.story.conftest import SHELF, ledger_of, submitted
from tests.waiting import until

pytestmark = [pytest.mark.story, pytest.mark.engine, pytest.mark.timeout(1500)]

EVENTS_AT_LEAST = 12
DYING = (sys.executable, "-m", "tests.story.dying_bot")


@pytest.mark.parametrize("where", [pytest.param("slurm", marks=pytest.mark.slurm), "local"])
def test_killed_after_every_event(campus_of, where: str) -> None:
    """A bot that dies after each event it writes, started again each time: one deployment, each job and post once."""
    campus = campus_of(slurm=where == "slurm" and not probe.available(), ladder=("transformers",))
    campus.start_gateway()
    ledger = ledger_of(campus)
    alice = campus.person("alice")
    published, kills = "", 0

    def state() -> str:
        row = ledger.deployment(published) if published else None
        return row["state"] if row is not None else ""

    def step() -> bool:
        """Keep a bot running; do what a person would do next. True at the end."""
        nonlocal published, kills
        bot = campus.processes.get("bot")
        if bot is None or not bot.alive:
            if bot is not None:
                assert bot.child.returncode == -9, bot.tail
                kills += 1
                campus.stop("bot")
            campus.start_bot(DYING)
        elif not published and ledger.watched("hub:acme"):
            published = campus.publish(SHELF, "good")
        elif published and state() == "" and (r := ledger.release(published)) and r["state"] == "OFFERED":
            alice.click("approve", channel="#models")
        return state() == "PREVIEW"

    until(step, 900, "the story to end in preview", every=0.2)
    campus.stop("bot")
    campus.start_bot()
    until(lambda: any("PREVIEW" in words(m) for m in alice.messages("#models")), 60, "the card to say so")
    events = ledger.events()
    assert kills >= EVENTS_AT_LEAST, f"only {kills} kills in {len(events)} events"
    assert [e.kind for e in events if e.kind == "deployment.passed"] == ["deployment.passed"]
    assert len(ledger.rows("SELECT id FROM deployments")) == 1
    keys = [row["key"] for row in ledger.rows("SELECT key FROM jobs")]
    assert sorted(key.split("-")[-3 if "-exam-" in key else -2] for key in keys) == ["cache", "exam", "serve"]
    if campus.cluster:
        assert submitted(campus) == sorted(keys), "each job exactly once"
    cards = [m for m in alice.messages("#models") if published in words(m) and not m.get("ephemeral_to")]
    assert len(cards) == 1
    replies = [words(m) for m in alice.thread("#models", cards[0]["ts"])[1:]]
    assert len(replies) == len(set(replies)), "nothing was posted twice"
