"""Derived repositories told apart, by rules; the dry run; a swap proposed when an official variant appears."""


import pytest

from bot.watch.kinds import Kin, kin, silence
from lab.slack.person import buttons, words
from lifecycle import queries, releases
from lifecycle.sections.watching import Watch
from tests.bot.office import MODEL, Office
from tests.waiting import until


def card(base: str, relation: str) -> str:
    return f"---\nlicense: mit\nbase_model: {base}\nbase_model_relation: {relation}\n---\n"


@pytest.mark.parametrize(
    ("repo", "tags", "wanted"),
    [
        ("acme/Tiny", ["safetensors"], Kin("model")),
        ("acme/Tiny-it", ["base_model:acme/Tiny", "base_model:finetune:acme/Tiny"], Kin("finetune", "acme/Tiny")),
        ("acme/Tiny-Q", ["base_model:quantized:acme/Tiny"], Kin("quantized", "acme/Tiny")),
        ("best/Tiny-Q", ["base_model:quantized:acme/Tiny"], Kin("quantized", "acme/Tiny")),
        ("else/Tiny-Q", ["base_model:quantized:acme/Tiny"], Kin("requantized", "acme/Tiny")),
        ("else/Tiny-G", ["gguf", "base_model:quantized:acme/Tiny"], Kin("gguf", "acme/Tiny")),
        ("else/lora", ["peft"], Kin("adapter")),
        ("else/lora", ["base_model:adapter:acme/Tiny"], Kin("adapter", "acme/Tiny")),
        ("else/mix", ["base_model:merge:acme/Tiny"], Kin("merge", "acme/Tiny")),
        ("acme/Tiny-GPTQ-Int4", [], Kin("quantized", "acme/Tiny")),
        ("acme/Tiny-FP8", ["safetensors"], Kin("quantized", "acme/Tiny")),
        ("acme/-FP8", [], Kin("model")),
        ("acme/Tiny", ["base_model:acme/Old"], Kin("model")),
    ],
)
def test_what_it_is(repo: str, tags: list[str], wanted: Kin) -> None:
    """By the Hub's tags, by the name where they are silent; `best` is a partner."""
    assert kin(repo, tags, ["best"]) == wanted


def test_the_rules_say_why() -> None:
    """Kinds and names, in any case of letters; with and without the organisation; by default only what is official."""
    watch = Watch(ignore=("*-draft", "acme/Old*"))
    assert silence("acme/Tiny", Kin("model"), watch) == ""
    assert silence("acme/Tiny-DRAFT", Kin("model"), watch) == "watch.ignore has *-draft"
    assert silence("acme/Older", Kin("model"), watch) == "watch.ignore has acme/Old*"
    assert silence("acme/x", Kin("quantized", "acme/Tiny"), watch) == ""
    for kind in ("gguf", "adapter", "merge", "requantized"):
        assert silence("acme/x", Kin(kind), watch) == f"watch.kinds has no {kind}"


def test_of_a_partner_only_variants_of_ours_are_announced() -> None:
    """Its thousand other repositories are not; an organisation that is watched as well is like any other."""
    watch = Watch(organizations=("acme",), models=("solo/One",), partners=("best",))
    assert silence("best/Tiny-FP8", Kin("quantized", "acme/Tiny"), watch) == ""
    assert silence("best/One-FP8", Kin("quantized", "solo/One"), watch) == ""
    for found in (Kin("quantized", "else/Tiny"), Kin("finetune", "acme/Tiny"), Kin("model")):
        assert "best, a partner" in silence("best/x", found, watch)
    both = Watch(organizations=("acme", "best"), partners=("best",))
    assert silence("best/x", Kin("model"), both) == ""


@pytest.fixture
def office(quiet_office: Office) -> Office:
    return quiet_office


def test_only_what_the_rules_want_becomes_a_card(office: Office) -> None:
    """An adapter and a GGUF are seen, noted, and not announced, now or later; the model is."""
    office.publish()
    office.publish("acme/lora", **{"README.md": card(MODEL, "adapter")})
    office.hub.publish({"a.gguf": b"GGUF", "README.md": card(MODEL, "quantized")}, "acme/tiny-GGUF")
    for _ in range(2):
        office.look()
    shown = [words(m) for m in office.alice.messages("#models")]
    assert len(shown) == 1 and MODEL in shown[0]
    noted = [e.detail["repo"] for e in queries.events_after(office.parts.ledger.connection, 0)
             if e.kind == "note.ignored"]  # fmt: skip
    assert sorted(noted) == ["acme/lora", "acme/tiny-GGUF"]


def test_whoever_names_one_repository_gets_it(office: Office) -> None:
    """watch.models knows no rules."""
    office.settings = office.settings.model_copy(
        update={"watch": office.settings.watch.model_copy(update={"organizations": (), "models": ("acme/lora",),
                                                                  "announce_since_days": 1})}
    )  # fmt: skip
    office.restart()
    office.publish("acme/lora", **{"README.md": card(MODEL, "adapter")})
    office.look()
    assert [r.repo for r in queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table)] == [
        "acme/lora"
    ]


def test_a_variant_of_what_is_served_is_proposed_as_a_swap(office: Office) -> None:
    """Named with the deployment and both sizes, once; before the base is deployed it is only a card."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, release.plan, by="alice")
    office.publish("acme/tiny-AWQ", **{"README.md": card(MODEL, "quantized")})
    office.look()
    assert not [m for m in office.alice.messages("#models") if "official quantized" in words(m)]
    ledger.move_deployment(queries.deployment(ledger.connection, made), "cached")
    office.publish("acme/tiny-FP8")
    for _ in range(2):
        office.look()
    (said,) = [words(m) for m in office.alice.messages("#models") if "official quantized" in words(m)]
    assert f"acme/tiny-FP8 is an official quantized variant of {MODEL}" in said
    assert f"runs as {made} on 2 GPUs; it would take 2" in said
    assert f"dayzero swap {made} --to acme/tiny-FP8" in said
    assert office.alice.sees("#models", "quantized of acme/tiny")


def test_the_swap_that_is_proposed_is_one_click(office: Office) -> None:
    """A push to the variant proposes it no second time; the button begins the swap, for approvers only."""
    guards = office.settings.cluster.guards.model_copy(update={"max_nodes": 8})
    cluster = office.settings.cluster.model_copy(update={"guards": guards})
    office.settings = office.settings.model_copy(update={"cluster": cluster})
    office.restart()
    office.chat.connect()
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, release.plan, by="alice")
    for event in ("cached", "healthy", "listed", "passed"):
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    office.publish("acme/tiny-FP8")
    office.look()
    office.hub.push("acme/tiny-FP8", {"notes.json": "1"})
    for _ in range(2):
        office.look()
    (proposal,) = [m for m in office.alice.messages("#models") if "swap" in buttons(m)]
    office.bob.click("swap", "#models", proposal["ts"])
    until(lambda: office.bob.sees("#models", "Only approvers"), 60, "the answer to bob")
    assert len(queries.deployments(ledger.connection)) == 1
    office.alice.click("swap", "#models", proposal["ts"])
    until(lambda: len(queries.deployments(ledger.connection)) == 2, 60, "the successor")
    _, successor = queries.deployments(ledger.connection)
    assert (successor.model, successor.replaces) == ("acme/tiny-FP8", made)


def test_the_dry_run_shows_what_would_have_been(office: Office) -> None:
    """Each repository of the last days, with its kind and the rule; nothing is written."""
    office.publish()
    office.publish("acme/lora", **{"README.md": card(MODEL, "adapter")})
    office.hub.publish({"README.md": "x"}, "acme/old", created_at="2020-01-01T00:00:00.000Z")
    rows = {d.repo: (d.kin.kind, d.silence) for d in office.parts.hub_watch.dry_run("acme", 30)}
    assert rows == {MODEL: ("model", ""), "acme/lora": ("adapter", "watch.kinds has no adapter")}
    assert queries.releases_in(office.parts.ledger.connection, *releases.RELEASE.table) == []
