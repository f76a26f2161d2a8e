"""The files of one Gauntlet run, shared by the service and the array tasks. Standard library only.

run.json                  everything that is asked, self-contained; never changed once a shard has begun
shard-<k>.partial.jsonl   a header line, then one line per finished sample; survives any kill
shard-<k>.jsonl           the same, complete, in the order of run.json, published by one rename
shard-<k>.progress.json   {"done", "total", "note"}
judge/<hash>.json         verdicts of the judge by content
grades.jsonl              what people said, one line per sample and person; their word wins
verdict.json, report.html, report.png; picture.json while the picture is being drawn
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gauntlet.cases import Case, Sample, Suite
from lifecycle.errors import Permanent
from lifecycle.runfolder import VERSION, read_json

JSON = Mapping[str, Any]


class NoRun(Permanent):
    """The folder holds no run that we can read."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """run.json as values. `suites` carry rules without cases; `samples` the full text; `shards` sample ids."""

    digest: str
    base_url: str
    model: str
    key_file: Path
    judges: tuple[str, ...]
    concurrency: int  # requests at once, at most
    patience_s: float  # an outage that lasts longer is recorded as not evaluated
    timeout_s: float  # of one request
    subject: JSON
    suites: tuple[Suite, ...]
    samples: tuple[Sample, ...]
    shards: tuple[tuple[str, ...], ...]
    rival: str = ""  # the model that answers are compared with
    left_out: JSON = field(default_factory=dict)  # sample id → what this run doesn't offer
    baseline: Path | None = None  # folder of an earlier run to compare with

    def shard(self, k: int) -> tuple[Sample, ...]:
        wanted = set(self.shards[k])
        return tuple(sample for sample in self.samples if sample.id in wanted)


def digest_of(content: JSON) -> str:
    """Names a run by what it asks."""
    plain = {key: value for key, value in content.items() if key not in ("v", "at", "digest", "baseline")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_run(folder: Path) -> Run:
    """Raises NoRun."""
    data = read_json(folder / "run.json")
    if data is None:
        raise NoRun(f"{folder} holds no run.json that this version can read.", "Prepare the run first.")
    return Run(
        **{
            key: data[key]
            for key in ("base_url", "model", "concurrency", "patience_s", "timeout_s", "subject", "rival", "left_out")
        },
        judges=tuple(data["judges"]),
        digest=data["digest"],
        key_file=Path(data["key_file"]),
        suites=tuple(Suite.of(rules) for rules in data["suites"]),
        samples=tuple(Sample(row["suite"], Case.of(row["case"])) for row in data["samples"]),
        shards=tuple(tuple(ids) for ids in data["shards"]),
        baseline=Path(data["baseline"]) if data.get("baseline") else None,
    )


def shard_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.jsonl"


def partial_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.partial.jsonl"


def progress_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.progress.json"


def header(digest: str, k: int) -> dict[str, Any]:
    return {"v": VERSION, "run": digest, "shard": k}


def read_records(path: Path, digest: str) -> tuple[list[dict[str, Any]], int]:
    """Whole records of this run in a shard file, and the bytes they take with the header.

    ([], 0) when the file is absent or of another run. A torn last line (killed while writing) is not counted.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    records, good = [], 0
    for number, line in enumerate(raw.splitlines(keepends=True)):
        try:
            row = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            row = None
        if not isinstance(row, dict):
            break
        if number == 0:
            if row.get("v") != VERSION or row.get("run") != digest:
                return [], 0
        else:
            records.append(row)
        good += len(line)
    return records, good


def publish(path: Path, lines: Iterable[JSON]) -> None:
    """Write JSON lines aside, sync, and rename over `path`."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
