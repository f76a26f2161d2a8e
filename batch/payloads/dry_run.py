"""Does the engine know this architecture? Tried with dummy weights while the real ones are still on their way.

`python -m batch.payloads.dry_run --run-folder RUN`: fetches the repository's small files (config, tokenizer), starts
the first engine of RUN/dry/launch.json on them with `--load-format dummy`, and writes RUN/dry/result.json: {"ok",
"sentence", "next_step", "engine_version", "seconds", "job"}. Exit status: 0 it was found out, either way; else 75.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from huggingface_hub.utils import build_hf_headers

from batch.facts_files import is_pickle, unsafe_path
from batch.payloads import cache_listing
from batch.payloads.cache_fetch import Fetch, Patience, Source
from batch.payloads.cache_order import Order, read_order
from batch.payloads.ending import Stopped
from batch.payloads.image_builders import BuildFailed
from batch.payloads.image_smoke import try_out
from lifecycle.errors import DayzeroError
from lifecycle.runfolder import read_json, write_json

SMALL = 64 * 2**20
"""Bytes. A config, a tokenizer, a chat template; weights are larger, or have a name that says what they are."""
WEIGHTS = (".safetensors", ".gguf", ".onnx", ".h5", ".msgpack")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Try an engine on a model's config, with dummy weights.")
    parser.add_argument("--run-folder", type=Path, required=True)
    run_folder = parser.parse_args(argv).run_folder.absolute()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, job = run_folder / "dry", os.environ.get("SLURM_JOB_ID", "")
    began = time.monotonic()
    try:
        launch = {**(read_json(folder / "launch.json") or {}), "model_folder": str(folder / "model")}
        fetch_small(read_order(run_folder, 0, Patience()), folder / "model", stop)
        os.environ.pop("HF_TOKEN", None)  # for the Hub; what is tried now needs none
        result = _tried(launch, folder, job)
    except (DayzeroError, Stopped, OSError) as error:
        print(f"The dry run could not be made: {error}", file=sys.stderr)
        return 75
    write_json(folder / "result.json", {**result, "seconds": round(time.monotonic() - began, 1), "job": job})
    print(result["sentence"], flush=True)
    return 0


def _tried(launch: dict, folder: Path, job: str) -> dict:
    engine = launch["ladder"][0]["runtime"]
    try:
        endpoint = try_out(launch, folder, job, alone=False)
    except BuildFailed as failure:
        return {"ok": False, "sentence": str(failure), "next_step": failure.next_step, "engine_version": ""}
    version = endpoint.get("engine_version", "")
    sentence = f"{engine} {version} knows the architecture: with dummy weights it loads and answers.".replace("  ", " ")
    return {"ok": True, "sentence": sentence, "next_step": "", "engine_version": version}


def fetch_small(order: Order, target: Path, stop: threading.Event) -> None:
    """Everything but weights, and code only where the plan was approved with it. Raises lifecycle.errors, OSError."""
    token = os.environ.get("HF_TOKEN") or False
    sources = cache_listing.listing(order, token, stop)
    headers = build_hf_headers(token=token, library_name="dayzero")
    with contextlib.closing(Fetch(headers, order.patience, stop, lambda *_: None)) as fetch:
        for source in sources.values():
            if is_small(source, order.allow_code):
                fetch.file(source, target / source.path)


def is_small(source: Source, allow_code: bool) -> bool:
    """Does an engine need it to know the architecture?"""
    name = source.path.lower()
    if unsafe_path(source.path) or "/" in name or name.endswith(WEIGHTS) or is_pickle(name) or source.size > SMALL:
        return False
    return allow_code or not name.endswith(".py")


if __name__ == "__main__":
    sys.exit(main())
