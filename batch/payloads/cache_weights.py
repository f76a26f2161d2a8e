"""The caching job: `python -m batch.payloads.cache_weights --run-folder RUN`. Any number of times, in any state.

Reads RUN/plan.json, asks the Hub for that commit's files, fetches them beside their final place, checks the hashes,
writes manifest.json, and publishes the whole folder by one rename. With `--share K --shares N` it fetches its part of
them, as one task of an array; the last task to end publishes. RUN/cache/ tells the service how far it is
(progress.json, or one for each share) and what went wrong (failure.json). The only secret is HF_TOKEN in the
environment.
"""

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from huggingface_hub.utils import build_hf_headers

from batch.facts_files import INDEX, MANIFEST, Wanted
from batch.payloads import cache_listing, cache_lock, cache_shares
from batch.payloads.cache_fetch import Fetch, Patience, Source, size_of
from batch.payloads.cache_order import Order, read_order
from batch.payloads.cache_progress import Progress, mirror
from batch.payloads.cache_verify import same
from batch.payloads.ending import Stopped, ended, job_id
from batch.payloads.place import seal
from batch.payloads.room import room, stripe
from batch.rates import folder as rates_folder
from batch.rates import note_fetch
from lifecycle.errors import NoSpace
from lifecycle.runfolder import read_json, write_json

AT_ONCE = 8  # files
LOOK_S = 0.4  # how often a waiting job looks


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fetch a model's weights to the shared file system.")
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--share", type=int, default=0, help="which part of the files this task fetches, from 0")
    parser.add_argument("--shares", type=int, default=1, help="into how many parts they are dealt")
    parser.add_argument("--keep-free", type=int, default=Order.keep_free, help="bytes that must stay free (1 GiB)")
    parser.add_argument("--tries", type=int, default=Patience.tries, help="in a row without a new byte")
    parser.add_argument("--wait", type=float, default=Patience.first_s, help="seconds after the first failure")
    options = parser.parse_args(argv)
    patience = Patience(tries=options.tries, first_s=options.wait)
    share = (options.share, options.shares)
    return ended(
        options.run_folder / "cache",
        lambda stop: publish(read_order(options.run_folder, options.keep_free, patience, *share), stop),
        "Told to stop; what has arrived is kept.",
    )


def publish(order: Order, stop: threading.Event) -> None:
    """Returns when the model is published, by us or by somebody else, or when our share of it is done and another
    task of the array is still at work. Raises Stopped or one of lifecycle.errors."""
    lock = cache_lock.Lock(order.lock, cache_lock.this_process(order.run_folder, whole_array=order.shares > 1))
    while not order.target.is_dir():
        holder = lock.take()
        if holder is None:
            try:
                if not (order.target.is_dir() or _fetch(order, stop)):
                    return
            finally:
                lock.release(leave=order.shares > 1 and not order.target.is_dir())
        else:
            name = f"job {holder.job}" if holder.job else f"process {holder.pid} on {holder.host}"
            note = f"{name} is fetching this model; waiting for it"
            mirror(Path(holder.run_folder) / "cache", order.reports, note)
            if stop.wait(LOOK_S):
                raise Stopped
    files = (read_json(order.target / MANIFEST) or {}).get("files", [])
    total = sum(f["size"] for f in files)
    count = {"files_done": len(files), "files": len(files)}
    write_json(
        order.reports / "progress.json", {"done": total, "total": total, "rate": 0.0, "note": "published", **count}
    )


def _fetch(order: Order, stop: threading.Event) -> bool:
    """List, check the space, fetch our share; publish if it was the last. We hold the lock. Is it published?"""
    token = os.environ.get("HF_TOKEN") or False
    sources = cache_listing.listing(order, token, stop)
    if not order.staging.is_dir():
        order.staging.mkdir(parents=True, exist_ok=True)
        stripe(order.staging)
    progress = Progress(order.progress)
    fetch = Fetch(
        build_hf_headers(token=token, library_name="dayzero"), order.patience, stop, progress.moved, progress.note
    )
    with progress, contextlib.closing(fetch):
        index = None
        if INDEX in sources:
            index = order.reports / f"index-{order.share}.json"
            _one(sources[INDEX], index, fetch)
        choice = cache_listing.choose(order, sources, index)
        take = [sources[path] for path in choice.take]
        sizes = {source.path: source.size for source in take}
        mine = [sources[path] for path in cache_shares.deal(sizes, order.shares)[order.share]]
        progress.expect(sum(s.size for s in mine), len(mine), sum(sizes.values()), len(take))
        if order.shares > 1:
            (order.reports / "progress.json").unlink(missing_ok=True)  # from here on the shares are summed
        _remove_strays(order.staging, sizes)
        _check_space(order, take)
        began = time.monotonic()
        missing = _missing(order, mine)
        _all(order, mine, fetch, progress, stop)
        note_fetch(rates_folder(order.shared), _task(), missing, time.monotonic() - began)
        if order.shares == 1:
            progress.note("publishing")
            _publish(order, take, choice)
            return True
        cache_shares.sign(order, order.share, order.shares, [s.path for s in mine])
        progress.note("")
        return _publish_if_last(order, take, choice)


def _publish_if_last(order: Order, sources: Collection[Source], choice: Wanted) -> bool:
    """Two tasks may end at the same moment: both see that all is there, one of them publishes."""
    last = cache_lock.Lock(
        order.staging.with_name(f"{order.staging.name}.publish.lock"), cache_lock.this_process(order.run_folder)
    )
    if not cache_shares.verified(order, order.shares).issuperset(s.path for s in sources) or last.take() is not None:
        return False
    try:
        if not order.target.is_dir():
            _publish(order, sources, choice)
    finally:
        last.release()
    return True


def _one(source: Source, target: Path, fetch: Fetch) -> None:
    if not same(target, source.size, source.sha256, source.blob_id, fetch.tick):
        fetch.file(source, target)


def _all(order: Order, sources: Collection[Source], fetch: Fetch, progress: Progress, stop: threading.Event) -> None:
    """Some files at once, the largest first. The first failure stops the others and is raised."""
    verified = cache_shares.verified(order, order.shares) if order.shares > 1 else set()

    def bring(source: Source) -> None:
        if source.path not in verified:
            _check_space(order, [source])
            _one(source, order.staging / source.path, fetch)
        progress.finished(source.path, source.size)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(bring, source) for source in sorted(sources, key=lambda s: -s.size)]
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
    for path in staging.rglob("*"):
        if path.is_symlink() or (not path.is_dir() and str(path.relative_to(staging)) not in keep):
            path.unlink(missing_ok=True)


def _missing(order: Order, sources: Collection[Source]) -> int:
    """Bytes that are still to come."""
    missing = 0
    for source in sources:
        there = order.staging / source.path
        missing += max(0, source.size - max(size_of(there), size_of(there.with_name(there.name + ".part"))))
    return missing


def _task() -> str:
    return "-".join(filter(None, (job_id() or str(os.getpid()), os.environ.get("SLURM_ARRAY_TASK_ID"))))


def _check_space(order: Order, sources: Collection[Source]) -> None:
    if not (missing := _missing(order, sources)):
        return
    there = room(order.staging)
    lacking = missing + order.keep_free - there.free
    if lacking > 0:
        raise NoSpace(
            f"{order.repo} needs {missing:,} more bytes, but {there.limit} leaves {there.free:,} in {order.shared}, "
            f"of which {order.keep_free:,} must stay free.",
            f"Make room for {lacking:,} bytes, then retry; what has arrived is kept: "
            f"`dayzero weights gc --free {(missing + order.keep_free) / 2**30 + 0.05:.1f}` deletes what nobody uses.",
        )


def _publish(order: Order, sources: Collection[Source], choice: Wanted) -> None:
    files = [{"path": s.path, "size": s.size, "sha256": s.sha256, "git_sha1": s.blob_id} for s in sources]
    head = {"repo": order.repo, "revision": order.revision, "endpoint": order.endpoint}
    for path in sorted(order.staging.rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):  # it holds something
                path.rmdir()
    seal(order, {**head, "bytes": sum(s.size for s in sources), "files": files, "left_out": choice.leave})


if __name__ == "__main__":
    sys.exit(main())
