"""From a framework's release to the offer, with nothing played: GitHub's answer, the job, pip, the trial."""

import contextlib
from pathlib import Path

import pytest

from lab.slack.person import buttons, words
from lifecycle import images
from lifecycle.imagefolder import current, read_image
from lifecycle.sections.serving import Runtime
from tests.batch.test_images import wheel
from tests.bot.office import Office
from tests.bot.test_frameworks import VLLM, deployed, finish, offers
from tests.waiting import until


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """vLLM runs in images; pip finds its releases in a folder."""
    index = tmp_path / "index"
    index.mkdir()
    wheel(index, "0.99.0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with contextlib.ExitStack() as stack:
        office = Office(tmp_path / "office", stack)
        old = office.settings
        runtimes = {"vllm": Runtime(engine="vllm", command=("{image}/env/bin/vllm",), start_timeout_s=60)}
        built = {"packages": ("vllm",), "smoke_model": tmp_path, "gpus": 0}
        office.settings = old.model_copy(
            update={"runtimes": runtimes, "images": old.images.model_copy(update=built)}
        )
        finish(office, "elder")
        (old.site.shared / "images" / "nightly").symlink_to("elder")
        office.restart()
        office.look()
        yield office
        office.stop()


def test_a_release_becomes_an_image_and_an_offer(office: Office) -> None:
    """Released on GitHub; the build job is submitted, installs that version and tries it; only then is the
    deployment that waited for it offered another try in that image, with the evidence and a button.
    """
    made = deployed(office, "cached", "broke")
    office.github.publish_release(VLLM, "v0.99.0", "Now with LlamaForCausalLM.")
    office.look()
    ledger, shared = office.parts.ledger, office.settings.site.shared
    assert offers(office) == []

    def ended() -> bool:
        office.parts.tick()
        (image,) = images.every(ledger.connection)
        return image.state in (images.READY, images.FAILED)

    until(ended, 120, "the image to be built", every=0.2)
    (image,) = images.every(ledger.connection)
    assert (image.state, image.reason) == (images.READY, "")
    assert read_image(shared, image.id)["versions"] == {"vllm": "0.99.0"}
    assert current(shared) == "elder"  # new plans go on with the nightly; a release's image is for who asks for it
    office.look()
    (told,) = offers(office)
    assert told["deployment"] == made and told["image"] == image.id
    assert "v0.99.0 name LlamaForCausalLM" in told["sentence"]
    (card,) = [m for m in office.alice.messages("#models") if "care" in str(m["blocks"])]
    (reply,) = [m for m in office.alice.thread("#models", card["ts"]) if "again" in buttons(m)]
    assert image.id in words(reply)
