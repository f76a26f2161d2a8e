"""What build.json says of an image: from where, how it is tried, whether `nightly` moves. Pure but for two look-ups."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lifecycle.errors import Refused
from lifecycle.imagefolder import LINK, NO_IMAGE, image_folder, read_image
from lifecycle.naming import slug
from lifecycle.sections.serving import Images
from lifecycle.settings import Settings

OVERLAY = "overlay"
PLACE = "{image}"
"""In a runtime's command: the folder of the plan's image."""

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_RELEASE = re.compile(r"v?(\d+(?:\.\d+)+\S*)\Z")
_PACKAGE = re.compile(r"[A-Za-z0-9/][A-Za-z0-9+:/@=.,<>!~\[\]_%#-]*\Z")


def new_id(reference: str, now: float) -> str:
    """`nightly-20261123-211500`: the folder's name, never used twice."""
    return f"{slug(reference)}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"


def checked(reference: str) -> str:
    """`nightly`, a release (v0.11.0) or a commit. Raises Refused."""
    if not _REFERENCE.match(reference) or len(reference) > 80:
        raise Refused(
            f"{reference!r} is nothing that an image is built from.",
            "Say nightly, a release such as v0.11.0, or a commit.",
        )
    return reference


def checked_overlay(text: str) -> tuple[str, ...]:
    """What pip is to install, one word each: git+https://…@commit, name==version. Raises Refused."""
    words = tuple(text.split())
    if not words or any(not _PACKAGE.match(word) for word in words):
        raise Refused(
            f"{text!r} is no overlay.", "Say what pip installs, such as git+https://github.com/you/vllm@commit."
        )
    for word in words:
        if "://" in word and not re.search(r"@[0-9a-f]{7,40}(#.*)?\Z", word):
            raise Refused(f"{word} may be another thing tomorrow.", "Name a commit: …@0123abc.")
    return words


def uses_image(settings: Settings, ladder: tuple[str, ...]) -> bool:
    """Does a runtime of these names run in an image?"""
    runtimes = [settings.runtimes[name] for name in ladder if name in settings.runtimes]
    return any(PLACE in word for runtime in runtimes for word in runtime.command)


def order(settings: Settings, image: str, reference: str, kind: str) -> dict[str, Any]:
    """build.json. Raises Refused when the settings lack what the test needs."""
    images = settings.images
    made = {
        "id": image,
        "reference": reference,
        "kind": kind,
        "shared": str(settings.site.shared),
        "move": kind != OVERLAY and reference == LINK,
    }
    if kind == OVERLAY:
        base, _, packages = reference.partition(" ")
        words = checked_overlay(packages)
        trial = _smoke(settings, "" if base == NO_IMAGE else base, image)
        return {**made, "image": base, "packages": list(words), "smoke": trial}
    made["smoke"] = _smoke(settings, image)
    if kind == "venv":
        return {**made, **_venv(images, checked(reference))}
    return {**made, "source": images.source.replace("{ref}", checked(reference))}


def _venv(images: Images, reference: str) -> dict[str, Any]:
    found = {"base": str(images.base or ""), "requirements": str(images.requirements or ""), "index": ""}
    if images.requirements is not None:
        return {**found, "packages": []}
    if release := _RELEASE.match(reference):
        first = [f"{name}=={release[1]}" for name in images.packages[:1]]
        return {**found, "packages": [*first, *images.packages[1:]]}
    return {**found, "packages": list(images.packages), "index": images.index.replace("{ref}", reference)}


def _smoke(settings: Settings, image: str, overlay: str = "") -> dict[str, Any]:
    """launch.json of the trial: the runtime as it will be used, with a tiny model."""
    images = settings.images
    if images.smoke_model is None:
        raise Refused(
            "There is no tiny model to try an image with, and none is used untried.",
            "Set images.smoke_model to the folder of a small chat model.",
        )
    runtime = settings.runtimes.get(images.runtime)
    if runtime is None:
        advice = f"Add [runtimes.{images.runtime}]."
        raise Refused(f"images.runtime names {images.runtime!r}, which there is not.", advice)
    shared = settings.site.shared
    rung = {
        "engine": runtime.engine,
        "runtime": images.runtime,
        "argv": placed(shared, runtime.command, image),
        "args": list(runtime.args),
        "environment": overlaid(shared, runtime.environment, overlay),
        "start_timeout_s": runtime.start_timeout_s,
        "why": "the trial of an image",
    }
    return {
        "model_folder": str(images.smoke_model),
        "served_name": "smoke",
        "ladder": [rung],
        "plan": {"nodes": 1, "context": images.smoke_context, "dtype": "auto"},
        "address": "127.0.0.1",
    }


def placed(shared: Path, command: Sequence[str], image: str) -> list[str]:
    """A runtime's command with the folder of an image in its place."""
    return [word.replace(PLACE, str(image_folder(shared, image))) if image else word for word in command]


def overlaid(shared: Path, environment: Mapping[str, str], overlay: str) -> dict[str, str]:
    """A runtime's environment with an overlay's packages before all others."""
    if not overlay:
        return dict(environment)
    before = [str(image_folder(shared, overlay) / "packages"), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": ":".join(filter(None, before))}


def must_exist(shared: Path, image: str) -> dict[str, Any]:
    """image.json of a finished image. Raises Refused."""
    made = read_image(shared, image)
    if made is None:
        advice = "`dayzero image list` shows them, `dayzero image build` makes one."
        raise Refused(f"There is no finished image {image!r}.", advice)
    return made
