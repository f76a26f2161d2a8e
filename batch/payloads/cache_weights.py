"""The caching job: `python -m batch.payloads.cache_weights --run-folder RUN`. Any number of times, in any state.

Reads RUN/plan.json, asks the Hub for that commit's files, fetches them beside their final place, checks the hashes,
writes manifest.json, and publishes the whole folder by one rename. RUN/cache/ tells the service how far it is
(progress.json) and what went wrong (failure.json). The only secret is HF_TOKEN in the environment.

Exit status: 0 published; 1 a person must act first; 75 worth trying again; 143 told to stop.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Collection
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from huggingface_hub.utils import build_hf_headers

from batch.facts_files import INDEX, MANIFEST, Wanted
from batch.payloads import cache_listing, cache_lock
from batch.payloads.cache_fetch import Fetch, Patience, Source, Stopped
from batch.payloads.cache_order import Order, read_order
from batch.payloads.cache_progress import Progress, mirror
from batch.payloads.cache_verify import same
from lifecycle.errors import DayzeroError, NoSpace, Refused
from lifecycle.runfolder import read_json, write_json

AT_ONCE = 8  # files
LOOK_S = 0.4  # how often a waiting job looks


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fetch a model's weights to the shared file system.")
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--keep-free", type=int, default=Order.keep_free, help="bytes that must stay free (1 GiB)")
    parser.add_argument("--tries", type=int, default=Patience.tries, help="in a row without a new byte")
    parser.add_argument("--wait", type=float, default=Patience.first_s, help="seconds after the first failure")
    options = parser.parse_args(argv)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    failure = options.run_folder / "cache" / "failure.json"
    failure.unlink(missing_ok=True)
    try:
        patience = Patience(tries=options.tries, first_s=options.wait)
        publish(read_order(options.run_folder, options.keep_free, patience), stop)
    except Stopped:
        print("Told to stop; what has arrived is kept.", file=sys.stderr)
        return 143
    except DayzeroError as error:
        return _fail(failure, error)
    except OSError as error:
        return _fail(failure, Refused(f"The shared file system says: {error}.", "Mend it, then retry."))
    return 0


def _fail(path: Path, error: DayzeroError) -> int:
    print(error.advice, file=sys.stderr)
    said = {"sentence": str(error), "retryable": error.retryable, "next_step": error.next_step}
    with contextlib.suppress(OSError):
        write_json(path, {**said, "job": os.environ.get("SLURM_JOB_ID", "")})
    return 75 if error.retryable else 1


def publish(order: Order, stop: threading.Event) -> None:
    """Returns when the model is published, by us or by somebody else. Raises Stopped or one of lifecycle.errors."""
    lock = cache_lock.Lock(order.lock, cache_lock.this_process(order.run_folder))
    while not order.target.is_dir():
        holder = lock.take()
        if holder is None:
            try:
                if not order.target.is_dir():
                    _fetch(order, stop)
            finally:
                lock.release()
        else:
            name = f"job {holder.job}" if holder.job else f"process {holder.pid} on {holder.host}"
            note = f"{name} is fetching this model; waiting for it"
            mirror(Path(holder.run_folder) / "cache" / "progress.json", order.progress, note)
            if stop.wait(LOOK_S):
                raise Stopped
    files = (read_json(order.target / MANIFEST) or {}).get("files", [])
    total = sum(f["size"] for f in files)
    count = {"files_done": len(files), "files": len(files)}
    write_json(order.progress, {"done": total, "total": total, "rate": 0.0, "note": "published", **count})


def _fetch(order: Order, stop: threading.Event) -> None:
    """List, check the space, fetch, publish. We hold the lock."""
    token = os.environ.get("HF_TOKEN") or False
    sources = cache_listing.listing(order, token, stop)
    order.staging.mkdir(parents=True, exist_ok=True)
    progress = Progress(order.progress)
    fetch = Fetch(
        build_hf_headers(token=token, library_name="dayzero"), order.patience, stop, progress.moved, progress.note
    )
    with progress, contextlib.closing(fetch):
        index = None
        if INDEX in sources:
            index = order.staging / INDEX
            _one(sources[INDEX], index, fetch, progress)
        choice = cache_listing.choose(order, sources, index)
        take = [sources[path] for path in choice.take]
        progress.expect(sum(s.size for s in take), len(take))
        _remove_strays(order.staging, {s.path for s in take})
        _check_space(order, take)
        _all(take, order.staging, fetch, progress, stop)
        progress.note("publishing")
        _publish(order, take, choice)


def _one(source: Source, target: Path, fetch: Fetch, progress: Progress) -> None:
    if not same(target, source.size, source.sha256, source.blob_id, fetch.tick):
        fetch.file(source, target)
    progress.finished(source.path, source.size)


def _all(sources: Collection[Source], staging: Path, fetch: Fetch, progress: Progress, stop: threading.Event) -> None:
    """Some files at once, the largest first. The first failure stops the others and is raised."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        largest_first = sorted(sources, key=lambda s: -s.size)
        futures = [pool.submit(_one, s, staging / s.path, fetch, progress) for s in largest_first]
        if wait(futures, return_when=FIRST_EXCEPTION).not_done:
            stop.set()
            for future in futures:
                future.cancel()
    errors = [e for f in futures if not f.cancelled() and (e := f.exception()) is not None]
    for error in errors:
        if not isinstance(error, Stopped):
            raise error
    if errors or stop.is_set():
        raise Stopped


def _remove_strays(staging: Path, names: Collection[str]) -> None:
    """What an earlier plan fetched and this one doesn't want must not be published with the rest."""
    keep = {*names, *(name + ".part" for name in names)}
    for path in sorted(staging.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif str(path.relative_to(staging)) not in keep or path.is_symlink():
            path.unlink()


def _check_space(order: Order, sources: Collection[Source]) -> None:
    missing = 0
    for source in sources:
        there = order.staging / source.path
        found = [p.stat().st_size for p in (there, there.with_name(there.name + ".part")) if p.exists()]
        missing += max(0, source.size - max(found, default=0))
    free = shutil.disk_usage(order.staging).free
    lacking = missing + order.keep_free - free
    if missing and lacking > 0:
        raise NoSpace(
            f"{order.repo} needs {missing:,} more bytes, but {order.shared} has {free:,} free, of which "
            f"{order.keep_free:,} must stay free.",
            f"Make room for {lacking:,} bytes, then retry; what has arrived is kept.",
        )


def _publish(order: Order, sources: Collection[Source], choice: Wanted) -> None:
    files = [{"path": s.path, "size": s.size, "sha256": s.sha256, "git_sha1": s.blob_id} for s in sources]
    head = {"repo": order.repo, "revision": order.revision, "endpoint": order.endpoint}
    size = sum(source.size for source in sources)
    write_json(order.staging / MANIFEST, {**head, "bytes": size, "files": files, "left_out": choice.leave})
    for path in order.staging.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
        _sync(path)
    order.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        order.staging.rename(order.target)
    except OSError:
        if not order.target.is_dir():
            raise
        shutil.rmtree(order.staging)  # somebody published the same commit in the meantime
    _sync(order.target.parent)


def _sync(path: Path) -> None:
    """Make it survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
