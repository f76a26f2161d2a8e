"""The verbs under /deploy, their buttons, and what the words may look like."""

import pytest

from bot.commands import CARE, HELP, parse
from bot.slack.text import told
from lab.slack.person import buttons, words
from lifecycle import deployments, queries
from lifecycle.errors import Refused
from tests.bot.office import MODEL, Office, answered, weights

NIGHT = 12 * 3600


def bring_to(office: Office, state: str, *events: str, how: str = "--for 12h") -> str:
    """Deployed by a word, then moved along by hand; its id."""
    assert office.alice.command("/deploy", f"{MODEL} {how}")
    answered(office, "Approved")
    ledger = office.parts.ledger
    (made,) = queries.deployments(ledger.connection)
    for event in events:
        ledger.move_deployment(queries.deployment(ledger.connection, made.id), event)
    assert queries.deployment(ledger.connection, made.id).state == state
    return made.id


PREVIEW = ("cached", "healthy", "listed", "passed")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("extend tiny 12h", {"verb": "extend", "deployment": "tiny", "hours": 12}),
        ("extend tiny 2d --because talk", {"hours": 48, "because": "talk"}),
        ("retire acme/tiny", {"verb": "retire", "deployment": "acme/tiny"}),
        ("retry tiny", {"verb": "retry"}),
        ("logs tiny", {"verb": "logs"}),
        ("retry tiny --image v1", {"verb": "retry", "image": "v1"}),
        ("swap tiny", {"verb": "swap", "to": "", "quant": ""}),
        ("swap tiny to acme/tiny-FP8", {"verb": "swap", "deployment": "tiny", "to": "acme/tiny-FP8"}),
        ("swap tiny --to acme/tiny-FP8", {"to": "acme/tiny-FP8"}),
        ("swap tiny —quant awq", {"quant": "awq", "own": False}),
        ("rollback tiny --because slow", {"verb": "rollback", "because": "slow"}),
        ("acme/my\u200b_model\u200b —for 2d", {"verb": "", "model": "acme/my_model", "hours": 48}),
        ("acme/tiny --nodes 2 --gpus 4 --context 4096 --engine vllm", {"nodes": 2, "gpus": 4, "context": 4096}),
    ],
)
def test_words_are_understood(text: str, wanted: dict) -> None:
    """The verbs, their arguments, and what phones and copies from Slack make of them."""
    options = parse("/deploy", text)
    assert {name: getattr(options, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retyre tiny", "Did you mean retire"),
        ("swop tiny", "Did you mean swap"),
        ("swap", "DEPLOYMENT"),
        ("swap tiny --quant fp9", "Did you mean fp8"),
        ("swap tiny --quant fp8 --to acme/b", "not allowed with"),
        ("swap tiny acme/b", "/deploy swap"),
        ("extend tiny", "TIME"),
        ("extend tiny soon", "no duration"),
        ("acme/tiny --nods 2", "Did you mean --nodes"),
        ("hello world", "org/model"),
    ],
)
def test_what_is_off_is_answered_with_the_nearest(text: str, said: str) -> None:
    """Each refusal names what there is."""
    with pytest.raises(Refused) as refusal:
        parse("/deploy", text)
    assert said in refusal.value.advice


def test_the_help_names_each_verb() -> None:
    """Nothing can be done that the help does not say."""
    assert parse("/deploy", "help") is None
    assert all(f"`/deploy {verb} " in HELP["/deploy"] for verb in CARE)


def test_extend_by_word_and_by_button(office: Office) -> None:
    """Only approvers; the thread says who gave how much more; the button is there only when there is an end."""
    name = bring_to(office, deployments.PREVIEW, *PREVIEW)
    office.chat.tell()
    message = office.alice.sees("#models", lambda m: "extend" in buttons(m), timeout=60)
    assert office.bob.command("/deploy", f"extend {name} 12h")
    office.bob.sees("#models", "Only approvers may do that", timeout=60)
    assert office.alice.command("/deploy", f"extend {MODEL} 6h --because demo")
    answered(office, "serves 6 hours longer")
    assert office.alice.click("extend", channel="#models", ts=message["ts"])
    answered(office, "serves 12 hours longer")
    office.chat.tell()
    said = [words(reply) for reply in office.alice.thread("#models", message["ts"])]
    assert any("alice lets it serve 6 h longer. demo" in line for line in said)


def test_swap_by_word(office: Office) -> None:
    """Only approvers; misspelt repositories are answered with the nearest; the successor is the command line's."""
    elder = bring_to(office, deployments.PREVIEW, *PREVIEW, how="--quant fp8")  # one of the two nodes we may have
    office.publish("acme/other", **{"model.safetensors": weights(600_000)})
    assert office.bob.command("/deploy", f"swap {MODEL} to acme/other")
    office.bob.sees("#models", "Only approvers may do that", timeout=60)
    assert office.alice.command("/deploy", "swap acme/tinny to acme/other")
    answered(office, f"Did you mean {MODEL}")
    assert office.alice.command("/deploy", f"swap {MODEL} to acme/othr")
    answered(office, "acme/other")
    assert office.alice.command("/deploy", f"swap {MODEL} to acme/other")
    answered(office, f"is on its way to the place of {elder}")
    (successor,) = [d for d in queries.deployments(office.parts.ledger.connection) if d.id != elder]
    assert successor.model == "acme/other" and successor.replaces == elder
    assert office.alice.command("/deploy", f"swap {elder} --quant fp8")
    answered(office, "is part of a swap already")
    office.chat.tell()
    card = office.alice.sees("#models", lambda m: "acme/other" in words(m) and not m.get("ephemeral_to"), timeout=60)
    said = [words(reply) for reply in office.alice.thread("#models", card["ts"])]
    assert any(f"alice wants it in the place of {elder}" in line for line in said)


def test_retry_logs_and_retire_by_word(office: Office) -> None:
    """The same actions as the buttons; a log that is not there yet is said so."""
    name = bring_to(office, deployments.BROKEN, "broke")
    assert office.alice.command("/deploy", f"rollback {name}")
    answered(office, "has replaced nothing")
    office.chat.tell()
    failure = office.alice.thread("#models", office.alice.messages("#models")[0]["ts"])[-1]
    assert "It broke while CACHING" in words(failure) and buttons(failure) == ["retry", "logs"]
    assert office.bob.command("/deploy", f"logs {name}")
    office.bob.sees("#models", "has no log yet", timeout=60)
    assert office.alice.command("/deploy", f"retry {name}")
    answered(office, "is tried again")
    assert office.alice.command("/deploy", f"retire {MODEL} --because 'too slow'")
    answered(office, "is draining")
    ledger = office.parts.ledger
    events = [e for e in queries.history(ledger.connection, name) if e.kind == "deployment.cancelled"]
    assert events[0].detail["because"] == "too slow" and events[0].by == "alice"


def test_our_own_code_can_be_copied_and_theirs_cannot_format() -> None:
    """Backticks of ours stay code without a stray letter; bold, pings and a lone backtick from outside do nothing."""
    assert told("Call `scontrol requeue $SLURM_JOB_ID`: done") == "Call `scontrol requeue $SLURM_JOB_ID`: done"
    assert told("*free* <!channel> my_model") == "*\u200bfree*\u200b &lt;!channel&gt; my_model"
    assert told("a ` b") == "a `\u200b b"
    assert told("run `x<!here>y` and ` *b*") == "run `x&lt;!here&gt;y` and `\u200b *\u200bb*\u200b"
