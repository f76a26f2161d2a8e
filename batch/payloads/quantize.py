"""The quantize job: `python -m batch.payloads.quantize --run-folder RUN`. Any number of times, in any state.

Reads RUN/quantize.json, has the copy made by the environment that holds llm-compressor (batch.payloads.quantize_work),
checks that nothing is missing in it, writes manifest.json with where it comes from, and publishes it beside the weights
by one rename. The original is only read. RUN/cache/ tells the service how far it is and what went wrong, as a
download does. Standard library only.

Exit status: 0 published; 1 a person must act first; 75 worth trying again; 143 told to stop.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from batch.payloads import cache_lock
from batch.payloads.ending import Stopped, ended, job_id
from batch.payloads.place import seal
from batch.payloads.quantize_order import Order, read_order
from batch.payloads.quantize_verify import verify
from batch.payloads.room import room, stripe
from lifecycle.errors import DayzeroError, NoSpace, Refused, Transient
from lifecycle.runfolder import read_json, write_json

MANIFEST = "manifest.json"
TAIL_LINES = 30
LOOK_S = 0.4
STOP_S = 10.0
SAID = re.compile(r"dayzero: (\d+)/(\d+) (.*)")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a quantized copy of a model's weights.")
    parser.add_argument("--run-folder", type=Path, required=True)
    folder = parser.parse_args(argv).run_folder
    stopped = "Told to stop; the next job begins anew."
    return ended(folder / "cache", lambda stop: publish(read_order(folder), stop), stopped)


def publish(order: Order, stop: threading.Event) -> None:
    """Returns when the copy is published, by us or by somebody else. Raises Stopped or one of lifecycle.errors."""
    lock = cache_lock.Lock(order.lock, cache_lock.this_process(order.run_folder))
    while not order.target.is_dir():
        if lock.take() is None:
            try:
                if not order.target.is_dir():
                    _make(order, stop)
            finally:
                lock.release()
        elif stop.wait(LOOK_S):
            raise Stopped
    total = (read_json(order.target / MANIFEST) or {}).get("bytes", 0)
    _progress(order, total, total, "published")


def _progress(order: Order, done: int, total: int, note: str) -> None:
    with contextlib.suppress(OSError):
        write_json(order.reports / "progress.json", {"done": done, "total": total, "rate": 0.0, "note": note})


def _make(order: Order, stop: threading.Event) -> None:
    """Check, make, verify, publish. We hold the lock; what a killed job left is thrown away."""
    original = read_json(order.source / MANIFEST)
    if original is None:
        raise Refused(
            f"The weights of {order.repo} at {order.made_from} are not on the shared file system.",
            f"`dayzero deploy {order.repo}@{order.made_from}` fetches them.",
        )
    size = int(original.get("bytes", 0))
    there = room(order.shared)
    if size + order.keep_free > there.free:
        raise NoSpace(
            f"A copy of {order.repo} may take {size:,} bytes, and {there.limit} leaves {there.free:,} free.",
            "`dayzero weights gc` makes room; then retry.",
        )
    shutil.rmtree(order.staging, ignore_errors=True)
    order.staging.mkdir(parents=True)
    stripe(order.staging)
    _run(order, size, stop)
    _progress(order, size, size, "verifying")
    counts = verify(order.source, order.staging, order.scheme)
    _bring_along(order)
    _publish(order, original, counts)


def _run(order: Order, size: int, stop: threading.Event) -> None:
    """The work in its own environment; its last lines are the reason when it fails."""
    argv = [*order.command, "-m", "batch.payloads.quantize_work", str(order.source), str(order.staging), order.scheme]
    argv += ["--group-size", str(order.group_size), "--sample-tokens", str(order.sample_tokens)]
    argv += ["--calibration", str(order.calibration)] if order.calibration else []
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    order.reports.mkdir(parents=True, exist_ok=True)
    log_path = order.reports / "quantize.log"
    try:
        with log_path.open("wb") as log:
            child = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=environment, text=True,
                start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise Refused(
            f"{order.command[0]} can't be started: {error.strerror}.", "Mend quantize.command in the settings."
        ) from None
    watch = threading.Thread(target=_end_when, args=(child, stop), daemon=True)
    watch.start()
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            if found := SAID.match(line):
                done, total, note = int(found[1]), max(1, int(found[2])), found[3]
                _progress(order, size * done // total, size, note)
    code = child.wait()
    watch.join()
    if stop.is_set():
        raise Stopped
    if code:
        raise _reason(log_path, code, order)


def _end_when(child: subprocess.Popen, stop: threading.Event) -> None:
    """SIGTERM, and SIGKILL to all it has started, when we are told to stop."""
    while child.poll() is None:
        if stop.wait(LOOK_S):
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            return


def _reason(log: Path, code: int, order: Order) -> DayzeroError:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-TAIL_LINES:]
    last = lines[-1].strip()[:300] if lines else f"exit status {code}"
    if code in (-9, -15):
        return Transient(
            f"Quantizing {order.repo} was ended by signal {-code}: probably the job's memory was too small.",
            "Raise quantize.host_memory.",
        )
    if "No module named" in last:
        return Refused(
            f"{order.command[0]} has no llm-compressor: {last}.",
            "quantize.command must start a Python that has it (docs/swap.md).",
        )
    return Refused(
        f"llm-compressor could not quantize {order.repo} to {order.scheme}: {last}",
        "Look for an official quantized copy (`--to org/name`), or try another --quant.",
    )


def _bring_along(order: Order) -> None:
    """Everything beside the weights stays as it was published: tokenizer, chat template, licence, readme."""
    for path in sorted(order.source.iterdir()):
        made = path.name in (MANIFEST, "config.json") or path.name.endswith(".safetensors.index.json")
        if path.is_file() and not made and path.suffix not in (".safetensors", ".py"):
            shutil.copyfile(path, order.staging / path.name)


def _publish(order: Order, original: dict, counts: dict[str, int]) -> None:
    files = [_entry(path, order.staging) for path in sorted(order.staging.rglob("*")) if path.is_file()]
    provenance = {
        "repo": order.repo,
        "revision": order.made_from,
        "endpoint": original.get("endpoint", ""),
        "scheme": order.scheme,
        "group_size": order.group_size,
        "calibration_sha256": _sha256(order.calibration) if order.calibration else None,
        "job": job_id(),
        "tool": _tool(order),
        **counts,
    }
    size = sum(file["size"] for file in files)
    head = {"repo": order.repo, "revision": order.revision}
    seal(order, {**head, "bytes": size, "files": files, "made_from": provenance})


def _entry(path: Path, root: Path) -> dict:
    return {"path": str(path.relative_to(root)), "size": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tool(order: Order) -> str:
    """As the copy's config says: which version of the format it was written in."""
    found = re.search(r'"version": "([^"]+)"', (order.staging / "config.json").read_text())
    return f"llm-compressor, compressed-tensors {found[1]}" if found else "llm-compressor"


if __name__ == "__main__":
    sys.exit(main())
