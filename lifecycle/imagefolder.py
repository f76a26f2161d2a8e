"""Images on the shared file system: what a server runs in. Standard library only: nodes import this.

images/<id>/build.json    what is built, from what; written before its job
images/<id>/env/          kind venv: a Python environment; image.sif (apptainer) or image.sqsh (enroot) otherwise
images/<id>/packages/     kind overlay: packages that go before those of an image
images/<id>/image.json    only once the smoke test has passed: {"id", "reference", "kind", "digest", "versions",
                          "engine_version", "engine_load_s", "job"}; what has none is not an image
images/<id>/failure.json  {"sentence", "next_step", "tail", "job"}
images/nightly            symbolic link to the image that new plans are made with
images/uses.jsonl         one line for each time the link was moved: {"at", "id", "by"}
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from lifecycle.runfolder import read_json, safe_name

LINK = "nightly"
NO_IMAGE = "-"
"""Stands for the image of an overlay whose runtime has none."""


def image_folder(root: Path, image: str) -> Path:
    return root / "images" / safe_name(image)


def overlay_id(image: str, packages: str) -> str:
    """The same overlay over the same image is built once, whoever asks."""
    return f"overlay-{hashlib.sha256(f'{image or NO_IMAGE} {packages}'.encode()).hexdigest()[:12]}"


def read_image(root: Path, image: str) -> dict[str, Any] | None:
    """image.json, or None: not built, or its smoke test has not passed."""
    return read_json(image_folder(root, image) / "image.json")


def current(root: Path) -> str | None:
    """The image that `nightly` points to."""
    try:
        return Path(os.readlink(root / "images" / LINK)).name
    except OSError:
        return None


def point(root: Path, image: str, by: str) -> None:
    """Move `nightly` in one step: whoever follows it sees the old image or the new one. FileNotFoundError: no image."""
    if read_image(root, image) is None:
        raise FileNotFoundError(f"{image} is no finished image")
    if current(root) == image:
        return
    folder = root / "images"
    aside = folder / f".{LINK}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    aside.symlink_to(image)
    with (folder / "uses.jsonl").open("a") as file:  # before the move: what was used is never missing here
        file.write(json.dumps({"at": time.time(), "id": image, "by": by}) + "\n")
    os.replace(aside, folder / LINK)


def uses(root: Path) -> list[dict[str, Any]]:
    """Each time the link was moved, oldest first; a line that a crash cut short is left out."""
    try:
        lines = (root / "images" / "uses.jsonl").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def before(root: Path) -> str | None:
    """The image that was used before the present one and is still there: where a rollback leads."""
    now = current(root)
    used = [line["id"] for line in uses(root)]
    while used and used[-1] == now:
        used.pop()
    return next((image for image in reversed(used) if image != now and read_image(root, image)), None)
