"""The run folder on the shared file system: where jobs and the service meet. Standard library only: nodes import this.

    runs/<deployment>/plan.json           the approved plan
    runs/<deployment>/*.sbatch            every script as submitted
    runs/<deployment>/cache/              progress.json, failure.json
    runs/<deployment>/servers/<n>/        endpoint.json, heartbeat.json, failure.json, engine logs per rank
    runs/<deployment>/gauntlet/<run>/     run.json, shard-<k>.jsonl, verdict.json, report.html, report.png
    models/<org>/<name>/<sha>/            weights, immutable, published by one atomic rename, with manifest.json

Every JSON file is replaced atomically and carries {"v": 1, "at": epoch seconds}: a reader sees the old or the new one.

    progress.json   {"done": bytes, "total": bytes, "rate": bytes/s, "note": str, "files_done": int, "files": int}
                    a download by an array of jobs: progress-<k>.json, of each share, with "all_bytes" and "all_files"
    endpoint.json   {"url": "http://host:port", "model": name on the backend, "engine": "vllm"|"transformers",
                     "engine_version": str, "engine_load_s": from its start to the first completion, "rung": int,
                     "job": job id, "context": tokens, "restarts": int}
                    written only once one real completion came back; removed first thing on SIGTERM
    heartbeat.json  {"phase": "starting"|"loading"|"ready"|"draining", "progress": 0..1, "note": str, "job": job id,
                     "rung": int, "running": requests, "generated": tokens, "healthy": bool}
    failure.json    {"sentence": str, "retryable": bool, "next_step": str, "rung": int, "log": file name,
                     "tail": last lines, "job": job id}
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 1
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace `path` atomically: written aside, synced, renamed. Raises OSError (disk full, no permission)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump({"v": VERSION, "at": time.time(), **data}, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """The document, or None when it is absent, unreadable or of a version we don't know."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("v") == VERSION else None


def safe_name(text: str) -> str:
    """`text` if it can be one path component and one Slurm job name, else ValueError: it came from outside."""
    if not _SAFE.match(text) or len(text) > 120:
        raise ValueError(f"{text!r} can't be a folder name")
    return text


def download_progress(cache: Path) -> dict[str, Any]:
    """{"done", "total", "rate", "note", "files_done", "files"} of a download: what progress.json says, else the sum of
    its shares; a share that has not moved for FRESH_S while others did has no rate. {} when nothing is known."""
    if (whole := read_json(cache / "progress.json")) is not None:
        return {key: whole[key] for key in PROGRESS if key in whole}
    shares = [share for path in sorted(cache.glob("progress-*.json")) if (share := read_json(path))]
    if not shares:
        return {}
    newest = max(share["at"] for share in shares)
    moving = [share for share in shares if newest - share["at"] < FRESH_S]
    notes = dict.fromkeys(share.get("note", "") for share in moving)
    return {
        "done": sum(share.get("done", 0) for share in shares),
        "total": max(share.get("all_bytes", 0) for share in shares),
        "rate": sum(share.get("rate", 0.0) for share in moving),
        "note": " ".join(filter(None, notes)),
        "files_done": sum(share.get("files_done", 0) for share in shares),
        "files": max(share.get("all_files", 0) for share in shares),
    }


PROGRESS = ("done", "total", "rate", "note", "files_done", "files")
FRESH_S = 60.0  # much longer than the half second in which a moving share writes, and than clocks of nodes differ


@dataclass(frozen=True)
class RunFolder:
    """Paths of one deployment under the shared root."""

    root: Path
    deployment: str

    @property
    def path(self) -> Path:
        return self.root / "runs" / safe_name(self.deployment)

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    def script(self, name: str) -> Path:
        return self.path / f"{safe_name(name)}.sbatch"

    def server(self, n: int) -> Path:
        return self.path / "servers" / str(n)

    def gauntlet(self, run: int) -> Path:
        return self.path / "gauntlet" / str(run)


def model_folder(root: Path, repo: str, revision: str) -> Path:
    """Where the weights of `org/name` at a commit are published; it exists only when they are complete."""
    org, _, name = repo.partition("/")
    return root / "models" / safe_name(org) / safe_name(name) / safe_name(revision)
