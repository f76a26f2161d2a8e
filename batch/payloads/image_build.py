"""Builds an image as build.json says, and tries it: `python -m batch.payloads.image_build --folder IMAGES/ID`.

Only when the tiny model has answered is image.json written, and only then is `nightly` moved. Standard library only.
Exit status: 0 built; 1 a person must act first; 75 worth trying again.
"""

import argparse
import os
import sys
from pathlib import Path

from batch.payloads.image_builders import BUILDERS, BuildFailed
from batch.payloads.image_smoke import try_out
from lifecycle.imagefolder import point, read_image
from lifecycle.runfolder import read_json, write_json

BY = "the build job"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build an image and try it with a tiny model.")
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args(argv).folder.absolute()
    job = os.environ.get("SLURM_JOB_ID", "")
    (folder / "failure.json").unlink(missing_ok=True)
    order = read_json(folder / "build.json")
    try:
        if order is None:
            raise BuildFailed(f"{folder / 'build.json'} is missing or no JSON.", "Let the service write it again.")
        build(order, folder, job)
    except BuildFailed as failure:
        return _failed(folder, failure, job)
    except OSError as error:
        advice = "Look at the free space there and at the job's output."
        return _failed(folder, BuildFailed(f"The node says: {error}.", advice, retryable=True), job)
    return 0


def build(order: dict, folder: Path, job: str) -> None:
    """Raises BuildFailed. Does nothing but move the link when the image is finished already."""
    shared = Path(order["shared"])
    if read_image(shared, order["id"]) is None:
        made = BUILDERS[order["kind"]](order, folder)
        print("built; now it is tried with a tiny model", flush=True)
        tried = _tried(order, folder, job)
        write_json(
            folder / "image.json",
            {
                "id": order["id"],
                "reference": order["reference"],
                "kind": order["kind"],
                "digest": made.digest,
                "versions": made.versions,
                "engine_version": tried.get("engine_version", ""),
                "engine_load_s": tried.get("engine_load_s"),
                "job": job,
            },
        )
    if order["move"]:
        point(shared, order["id"], BY)


def _tried(order: dict, folder: Path, job: str) -> dict:
    try:
        return try_out(order["smoke"], folder, job)
    except BuildFailed as failure:
        sentence = f"The image was built, but a tiny model does not run in it: {failure}"
        raise BuildFailed(sentence, failure.next_step, failure.tail, failure.retryable) from None


def _failed(folder: Path, failure: BuildFailed, job: str) -> int:
    print(f"{failure} {failure.next_step}", file=sys.stderr, flush=True)
    document = {"sentence": str(failure), "next_step": failure.next_step, "tail": failure.tail, "job": job}
    write_json(folder / "failure.json", {**document, "retryable": failure.retryable})
    return 75 if failure.retryable else 1


if __name__ == "__main__":
    sys.exit(main())
