"""A framework's release: what it says about those who wait, the image built of it, the offer to try again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.images.orders import order
from bot.frameworks import again
from bot.watch.evidence import BROKEN, FALLBACK, SUPPORTED, evidence, waits_for
from lab.slack.person import buttons, words
from lifecycle import deployments, images, queries, releases
from lifecycle.errors import Refused
from lifecycle.imagefolder import image_folder
from lifecycle.models import ModelFacts
from lifecycle.plans import Rung
from lifecycle.runfolder import write_json
from lifecycle.sections.serving import Runtime
from tests.bot.office import MODEL, Office
from tests.waiting import until

VLLM = "vllm-project/vllm"
LIST = SUPPORTED["vllm"]


@pytest.mark.parametrize(
    ("architecture", "notes", "listed", "said"),
    [
        ("TinyV4ForCausalLM", "Adds TinyV4ForCausalLM.", "", "notes of v/v v1 name TinyV4ForCausalLM"),
        ("TinyV4ForCausalLM", "", '"TinyV4ForCausalLM": ("tiny", 1),', "registry of v/v v1 lists TinyV4ForCausalLM"),
        ("DeepseekV4ForCausalLM", "Support for DeepSeek-V4 (#1)", "", 'name "DeepSeek-V4"'),
        ("Qwen4MoeForCausalLM", "* qwen4_moe on ROCm", "", 'name "qwen4_moe"'),
        ("LlamaForCausalLM", "Faster Llama, llama, LLAMA", "", ""),
        ("LlamaForCausalLM", "", "LlamaForCausalLMEagle3", ""),
        ("Tiny4ForCausalLM", "Tiny42 is here", "", ""),
        ("", "everything", "everything", ""),
    ],
)
def test_only_what_names_the_architecture_counts(architecture: str, notes: str, listed: str, said: str) -> None:
    """The class by its whole name; the model's name as people write it, where it tells the model from any other."""
    found = evidence("v/v", "v1", notes, {"registry": listed}, architecture)
    assert said in found and bool(said) == bool(found)


@given(st.text(max_size=60), st.text(max_size=20))
def test_whatever_stands_in_the_notes_is_read_without_harm(notes: str, architecture: str) -> None:
    """Any text from outside; what has no letters in common names nothing."""
    evidence("v/v", "v1", notes, {"path": notes}, architecture)
    assert evidence("v/v", "v1", "", {}, architecture) == ""


@pytest.fixture
def office(quiet_office: Office) -> Office:
    return quiet_office


def deployed(office: Office, *events: str) -> str:
    """A deployment whose ladder is vLLM, then Transformers, after these events."""
    office.publish()
    office.look()
    ledger = office.parts.ledger
    (release,) = [r for r in queries.releases_in(ledger.connection, releases.OFFERED) if r.kind == "model"]
    ladder = (Rung(engine="vllm", runtime="vllm"), Rung(engine="transformers", runtime="transformers"))
    made = ledger.approve(release, replace(release.plan, ladder=ladder), by="alice")
    for event in events:
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    return made


def served_by(office: Office, made: str, engine: str) -> None:
    ledger = office.parts.ledger
    ledger.want_server(queries.deployment(ledger.connection, made))
    for event in ("submitted", "running", "ready"):
        (server,) = queries.servers_of(ledger.connection, made)
        ledger.move_server(server, event, **({"engine": engine, "url": "http://x"} if event == "ready" else {}))


def offers(office: Office) -> list[dict]:
    events = queries.events_after(office.parts.ledger.connection, 0)
    return [e.detail | {"deployment": e.deployment_id} for e in events if e.kind == "note.retry_offered"]


@pytest.mark.parametrize(
    ("state", "broke_in", "serving", "why"),
    [
        ("BROKEN", "STARTING", "", BROKEN),
        ("BROKEN", "CACHING", "", ""),
        ("PREVIEW", None, "transformers", FALLBACK),
        ("PREVIEW", None, "vllm", ""),
        ("STARTING", None, "", ""),
        ("DRAINING", None, "transformers", ""),
    ],
)
def test_who_waits_for_a_newer_engine(office: Office, state: str, broke_in: str, serving: str, why: str) -> None:
    """Broken while its server started, or served by what comes after that engine in its ladder."""
    made = queries.deployment(office.parts.ledger.connection, deployed(office))
    one = replace(made, state=state, broke_in=broke_in)
    assert waits_for(one, "vllm", serving) == why
    assert waits_for(one, "sglang", serving) == ""


def test_a_broken_deployment_is_offered_another_try(office: Office) -> None:
    """With the evidence and a button in its thread, once; the click brings it back to where it broke."""
    made = deployed(office, "cached", "broke")
    office.github.put_file(VLLM, "v0.99.0", LIST, '"LlamaForCausalLM": ("llama", "LlamaForCausalLM"),')
    office.github.publish_release(VLLM, "v0.99.0", "Nothing to see.")
    for _ in range(2):
        office.look()
    (told,) = offers(office)
    assert told["deployment"] == made and f"{LIST} of {VLLM} v0.99.0 lists LlamaForCausalLM." in told["sentence"]
    office.chat.connect()
    (card,) = [m for m in office.alice.messages("#models") if "care" in str(m["blocks"])]
    (reply,) = [m for m in office.alice.thread("#models", card["ts"]) if "again" in buttons(m)]
    assert f"{made} is broken" in words(reply) and "Install vllm-project/vllm v0.99.0" in words(reply)
    office.alice.click("again", "#models", reply["ts"])
    ledger = office.parts.ledger
    until(lambda: queries.deployment(ledger.connection, made).state == deployments.STARTING, 60, "another try")
    office.look()
    assert len(offers(office)) == 1


def test_a_release_that_says_nothing_of_it_offers_nothing(office: Office) -> None:
    """No evidence, no word; and no question for the list of architectures while nobody waits."""
    office.github.publish_release(VLLM, "v0.98.0", "LlamaForCausalLM")
    office.look()
    assert office.github.requests("/contents/") == []
    deployed(office, "cached", "broke")
    office.github.publish_release(VLLM, "v0.99.0", "Other things.")
    office.look()
    assert len(office.github.requests("/contents/")) == 1 and offers(office) == []


def with_images(office: Office) -> None:
    """vLLM runs in an image, and one may be built."""
    shared, old = office.settings.site.shared, office.settings
    runtimes = {"vllm": Runtime(engine="vllm", command=("{image}/bin/vllm",)),
                "transformers": Runtime(engine="transformers", command=("x",))}  # fmt: skip
    made = old.images.model_copy(update={"smoke_model": shared})
    office.settings = old.model_copy(update={"runtimes": runtimes, "images": made})
    finish(office, "elder")
    (shared / "images").mkdir(parents=True, exist_ok=True)
    (shared / "images" / "nightly").symlink_to("elder")
    office.restart()


def finish(office: Office, image: str) -> None:
    """As its job leaves it on the shared file system."""
    folder = image_folder(office.settings.site.shared, image)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "image.json", {"id": image, "digest": f"sha256:{image}", "kind": "venv", "at": 1.0})


def test_an_image_is_built_and_the_offer_waits_for_it(office: Office) -> None:
    """One image for the release; nothing is offered until it is ready; then the plan is tried in that image."""
    with_images(office)
    made = deployed(office, "cached", "broke")
    office.github.publish_release(VLLM, "v0.99.0", "Now with LlamaForCausalLM.")
    for _ in range(2):
        office.look()
    ledger = office.parts.ledger
    (image,) = images.every(ledger.connection)
    assert (image.reference, image.created_by, image.state) == ("v0.99.0", VLLM, images.WANTED)
    assert order(office.settings, image.id, image.reference, image.kind)["packages"][0] == "vllm==0.99.0"
    assert offers(office) == []
    finish(office, image.id)
    ledger.connection.execute("UPDATE images SET state = 'READY'")
    office.look()
    (told,) = offers(office)
    assert f"dayzero retry {made} --image {image.id}" in told["next_step"]
    again(ledger, office.settings, made, told["image"], by="alice")
    tried = queries.deployment(ledger.connection, made)
    assert (tried.state, tried.plan.image, tried.plan.image_digest) == ("STARTING", image.id, f"sha256:{image.id}")


def test_an_image_that_fails_is_said_with_the_offer(office: Office) -> None:
    """People may still mend it by hand."""
    with_images(office)
    deployed(office, "cached", "broke")
    office.github.publish_release(VLLM, "v0.99.0", "Now with LlamaForCausalLM.")
    office.look()
    office.parts.ledger.connection.execute("UPDATE images SET state = 'FAILED', reason = 'No room.'")
    office.look()
    (told,) = offers(office)
    assert "its image could not be built: No room." in told["sentence"] and told["image"] == ""


def test_what_runs_on_its_fallback_engine_gets_a_successor(office: Office) -> None:
    """It goes on serving; the successor has the new image and takes over when it has passed."""
    with_images(office)
    made = deployed(office, "cached")
    served_by(office, made, "transformers")
    for event in ("healthy", "listed", "passed"):
        ledger = office.parts.ledger
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    finish(office, "newer")
    with pytest.raises(Refused, match="no room beside"):
        again(ledger, office.settings, made, "newer", by="alice")
    roomy = office.settings.cluster.guards.model_copy(update={"max_nodes": 8})
    cluster = office.settings.cluster.model_copy(update={"guards": roomy})
    said = again(ledger, office.settings.model_copy(update={"cluster": cluster}), made, "newer", by="alice")
    old, new = queries.deployments(ledger.connection)
    assert (old.id, old.state) == (made, "PREVIEW") and new.replaces == made and new.plan.image == "newer"
    assert new.id in said
    with pytest.raises(Refused):
        again(ledger, office.settings, made, "nosuch", by="alice")


def test_a_prerelease_builds_nothing(office: Office) -> None:
    """It is announced, and may name what waits."""
    with_images(office)
    office.github.publish_release(VLLM, "v1.0rc1", "soon", prerelease=True)
    office.look()
    assert images.every(office.parts.ledger.connection) == []
    assert office.alice.sees("#models", "v1.0rc1")


def test_facts_without_an_architecture_wait_in_vain(office: Office) -> None:
    """Nothing can be found for what has no name; nothing breaks."""
    made = deployed(office, "cached", "broke")
    ledger = office.parts.ledger
    release = queries.release(ledger.connection, queries.deployment(ledger.connection, made).release_id)
    ledger.learn(release, ModelFacts(repo=MODEL, revision=release.revision), release.plan)
    office.github.publish_release(VLLM, "v0.99.0", "everything")
    office.look()
    assert offers(office) == []
