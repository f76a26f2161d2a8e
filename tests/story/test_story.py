"""The main job, end to end: a model is published, people decide, Slurm serves, the Gauntlet judges, developers call."""

import json
import re
import urllib.request

import pytest

from lab.models.pairs import read_pairs
from lab.slack.person import words
from tests.story.conftest import SHELF, ask, key, ledger_of, submitted
from tests.waiting import until

pytestmark = [pytest.mark.story, pytest.mark.engine, pytest.mark.timeout(1500)]

PATIENCE_S = 420


def question():
    return next(pair for pair in read_pairs() if pair.suite == "questions")


def publish_and_approve(campus, name: str) -> str:
    ledger = ledger_of(campus)
    until(lambda: ledger.watched("hub:acme"), 60, "the watcher's first look")
    repo = campus.publish(SHELF, name)
    until(lambda: (r := ledger.release(repo)) and r["state"] == "OFFERED", 60, f"a card for {repo}")
    assert campus.person("alice").click("approve", channel="#models", timeout=30)
    until(lambda: ledger.deployment(repo), 30, f"{repo} to be approved")
    return repo


def answers(campus, repo: str, developer: str) -> None:
    pair = question()
    body = {"model": repo, "messages": list(pair.messages), "max_tokens": 60, "temperature": 0}
    listed = lambda: repo in str(ask(campus, developer, "/v1/models")[1])  # noqa: E731
    until(listed, 5, f"the gateway to take over {repo}")
    status, answer = ask(campus, developer, "/v1/chat/completions", body)
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"].strip() == pair.answer
    assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.slurm
def test_the_story_on_real_slurm(campus_of) -> None:
    """Two nodes, research preempted, real vLLM over both; then a leaky model is held back, an alien one falls back."""
    campus = campus_of(slurm=True)
    campus.start_gateway()
    campus.start_bot()
    campus.fill_with_research()
    developer = key(campus, "dana")
    ledger = ledger_of(campus)

    good = publish_and_approve(campus, "good")
    row = ledger.wait(good, ("PREVIEW",), PATIENCE_S)
    assert json.loads(row["plan"])["nodes"] == 2
    servers = ledger.rows("SELECT * FROM servers WHERE deployment_id = ?", row["id"])
    assert [s["engine"] for s in servers] == ["vllm"]
    assert len(servers[0]["nodes"].split(",")) == 2
    answers(campus, good, developer)
    preempted = ledger.rows("SELECT * FROM victims WHERE deployment_id = ? AND state = 'REQUEUED'", row["id"])
    assert len(preempted) == 2, "the research jobs on its two nodes were preempted and wait again"
    told = [words(m) for m in campus.person("bob").dms()]
    assert any("was preempted by acme/tiny-good" in text for text in told)
    card = campus.person("alice").sees("#models", "PREVIEW")

    def thread() -> str:
        return json.dumps(campus.person("alice").thread("#models", card["ts"]))

    until(lambda: "passed the Gauntlet" in thread(), 30, "the verdict in the thread")
    until(lambda: "/reports/" in thread(), 30, "the report in the thread")
    (link,) = set(re.findall(rf"{campus.gateway_url}/reports/[\w./-]+", thread()))
    with urllib.request.urlopen(link, timeout=30) as page:
        assert "PASS" in page.read().decode() and "sandbox" in page.headers["content-security-policy"]

    leaky = publish_and_approve(campus, "leaky")
    row = ledger.wait(leaky, ("DRAINING", "RETIRED"), PATIENCE_S)
    assert "compliance" in row["reason"].lower()
    assert (
        ask(
            campus,
            developer,
            "/v1/chat/completions",
            {"model": leaky, "messages": [{"role": "user", "content": "Hi."}]},
        )[0]
        == 404
    )
    ledger.wait(leaky, ("RETIRED",), 90)

    alien = publish_and_approve(campus, "alien")
    row = ledger.wait(alien, ("PREVIEW", "HELD"), PATIENCE_S)
    servers = ledger.rows("SELECT * FROM servers WHERE deployment_id = ?", row["id"])
    assert [s["engine"] for s in servers] == ["transformers"], "in the same allocation: one server, one job"
    assert row["state"] == "PREVIEW", row["reason"]
    answers(campus, alien, developer)

    names = submitted(campus)
    assert len(names) == 9
    assert len(names) == len(set(names)), "no job was submitted twice"


def test_the_story_on_the_embedded_default(campus_of) -> None:
    """Without Slurm: the same scripts as child processes, the Transformers server; in preview, and it answers."""
    campus = campus_of(slurm=False, ladder=("transformers",))
    campus.start_gateway()
    campus.start_bot()
    good = publish_and_approve(campus, "good")
    ledger_of(campus).wait(good, ("PREVIEW",), PATIENCE_S)
    answers(campus, good, key(campus, "dana"))

    endless = publish_and_approve(campus, "endless")
    row = ledger_of(campus).wait(endless, ("DRAINING", "RETIRED"), PATIENCE_S)
    assert "sanity" in row["reason"].lower()
