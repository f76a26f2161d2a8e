"""The files of one Gauntlet run, shared by the service and the array tasks. Standard library only.

run.json                  whom to ask and by which rules; never changed once a shard has begun
more.json                 which suites' reserves are asked too, and why; written once, by a conclusion
ask-<k>.jsonl             what shard k asks, one sample a line: read as it goes, for there may be very many
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gauntlet.cases import Case, Sample, Suite
from lifecycle.errors import BadSettings, Permanent
from lifecycle.runfolder import VERSION, read_json

JSON = Mapping[str, Any]


class NoRun(Permanent):
    """The folder holds no run that we can read."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """run.json and more.json as values. `suites` carry rules without cases; `shards`: how many samples each has."""

    folder: Path

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
    shards: tuple[int, ...]
    reserve: Mapping[str, int] = field(default_factory=dict)  # suite → the shard that holds its reserve
    more: Mapping[str, JSON] = field(default_factory=dict)  # suite → {"samples", "because"}: the reserve is asked
    rival: str = ""  # the model that answers are compared with
    left_out: JSON = field(default_factory=dict)  # sample id → what this run doesn't offer
    baseline: Path | None = None  # folder of an earlier run to compare with

    def check(self, k: int) -> int:
        """The number of a shard that there is. Raises BadSettings."""
        if not 0 <= k < len(self.shards):
            raise BadSettings(f"There is no shard {k}: this run has {len(self.shards)}, from 0.")
        return k

    def outline(self, k: int) -> Iterator[tuple[str, str, Sequence[str]]]:
        """Id, suite and checks of what `shard` gives: half the work where nobody needs the case itself."""
        for row in _rows(ask_file(self.folder, k)):
            yield row["id"], row["suite"], row["case"]["checks"]

    def shard(self, k: int) -> Iterator[Sample]:
        """What one shard asks, in the order of the suites; read line by line."""
        for row in _rows(ask_file(self.folder, k)):
            yield Sample(row["suite"], Case.of(row["case"]))

    @property
    def first(self) -> tuple[int, ...]:
        """The shards that are asked in any case."""
        return tuple(range(len(self.shards) - len(self.reserve)))

    @property
    def second(self) -> tuple[int, ...]:
        """The shards that are asked because the first ones left their suite open."""
        return tuple(sorted(self.reserve[suite] for suite in self.more))

    @property
    def asked(self) -> tuple[int, ...]:
        return self.first + self.second

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """Of all shards that are asked, in the order of the suites."""
        rows = [row for k in self.asked for row in _rows(ask_file(self.folder, k))]
        rows.sort(key=lambda row: row["n"])
        return tuple(Sample(row["suite"], Case.of(row["case"])) for row in rows)


def digest_of(content: JSON) -> str:
    """Names a run by what it asks."""
    plain = {key: value for key, value in content.items() if key not in ("v", "at", "digest", "baseline")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_run(folder: Path) -> Run:
    """Raises NoRun."""
    data = read_json(folder / "run.json")
    if data is None:
        raise NoRun(f"{folder} holds no run.json that this version can read.", "Prepare the run first.")
    reserve = data.get("reserve", {})
    suites = [Suite.of(rules) for rules in data["suites"]]
    return Run(
        **{
            key: data[key]
            for key in ("base_url", "model", "concurrency", "patience_s", "timeout_s", "subject", "rival", "left_out")
        },
        judges=tuple(data["judges"]),
        folder=folder,
        digest=data["digest"],
        key_file=Path(data["key_file"]),
        suites=tuple(replace(suite, looks=2) if suite.name in reserve else suite for suite in suites),
        reserve=reserve,
        more=(read_json(more_file(folder)) or {}).get("suites", {}),
        shards=tuple(data["shards"]),
        baseline=Path(data["baseline"]) if data.get("baseline") else None,
    )


def more_file(folder: Path) -> Path:
    return folder / "more.json"


def ask_file(folder: Path, k: int) -> Path:
    return folder / f"ask-{k}.jsonl"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def shard_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.jsonl"


def partial_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.partial.jsonl"


def progress_file(folder: Path, k: int) -> Path:
    return folder / f"shard-{k}.progress.json"


def header(digest: str, k: int) -> dict[str, Any]:
    return {"v": VERSION, "run": digest, "shard": k}


@dataclass(frozen=True)
class Line:
    """A whole record in a shard file, and where it stands: offset and bytes, the end of line included."""

    record: dict[str, Any]
    offset: int
    length: int


def read_lines(path: Path, digest: str) -> Iterator[Line]:
    """Whole records of this run in a shard file, one at a time; none when it is absent or of another run.

    A torn last line (killed while writing) ends it.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = 0
        for number, line in enumerate(file):
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                row = None
            if not isinstance(row, dict):
                return
            if number == 0:
                if row.get("v") != VERSION or row.get("run") != digest:
                    return
            else:
                yield Line(row, offset, len(line))
            offset += len(line)


def read_records(path: Path, digest: str) -> list[dict[str, Any]]:
    """All whole records of this run in a shard file."""
    return [line.record for line in read_lines(path, digest)]


def publish(path: Path, lines: Iterable[JSON | bytes]) -> None:
    """Write JSON lines (bytes: as they are) aside, sync, and rename over `path`."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        for line in lines:
            file.write(line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
