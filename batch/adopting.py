"""Weights that were mirrored before: every file is verified against the Hub's hashes, then published like a download.

The files are put where a download would have left them, and the ordinary caching goes on from there: it checks each
one, fetches what is missing or different, writes the manifest and publishes by one rename.
"""

import os
import shutil
import threading
from pathlib import Path

from batch.payloads import cache_weights
from batch.payloads.cache_fetch import Patience
from batch.payloads.cache_order import Order
from lifecycle.errors import NotFound, Refused
from lifecycle.runfolder import RunFolder


def adopt(shared: Path, endpoint: str, repo: str, revision: str, folder: Path) -> Path:
    """Publish what lies in `folder` (a plain mirror, or a snapshot in the Hub's own cache) as `repo` at this commit.

    Files of ours on the same file system are linked, not copied; they become read-only. Raises lifecycle.errors.
    """
    if not (folder / "config.json").exists():
        raise NotFound(f"{folder} holds no config.json.", "Name the folder that directly holds the model's files.")
    run_folder = RunFolder(shared, f"adopted-{revision[:12]}").path
    order = Order(
        run_folder=run_folder, shared=shared, endpoint=endpoint.rstrip("/"), repo=repo, revision=revision,
        patience=Patience(),
    )  # fmt: skip
    if order.target.is_dir():
        raise Refused(f"{repo}@{revision[:12]} is published already, in {order.target}.", "There is nothing to do.")
    try:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if path.relative_to(folder).parts[0] != ".cache":  # the download's own notes
                _put(path.resolve(), order.staging / path.relative_to(folder))
    except OSError as error:
        raise Refused(
            f"{error.filename or folder} can't be taken over: {error.strerror}.", "Mend it, then repeat."
        ) from None
    cache_weights.publish(order, threading.Event())
    return order.target


def _put(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        if source.stat().st_uid == os.geteuid():
            os.link(source, target)
            return
    except OSError:  # another file system, or one without links
        pass
    shutil.copyfile(source, target)
