"""Where a job makes weights and where it publishes them: two folders of one file system, one rename apart.

Standard library only: the jobs that download and the one that quantizes share this.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lifecycle.errors import Refused
from lifecycle.runfolder import model_folder, read_json, safe_name, write_json


@dataclass(frozen=True, kw_only=True)
class Place:
    """`keep_free`: bytes of the file system that stay free."""

    run_folder: Path
    shared: Path
    repo: str
    revision: str
    keep_free: int = 2**30

    @property
    def target(self) -> Path:
        return model_folder(self.shared, self.repo, self.revision)

    @property
    def staging(self) -> Path:
        org, _, name = self.repo.partition("/")
        return self.shared / "models" / ".staging" / "--".join(map(safe_name, (org, name, self.revision)))

    @property
    def lock(self) -> Path:
        return self.staging.with_name(self.staging.name + ".lock")

    @property
    def reports(self) -> Path:
        return self.run_folder / "cache"


P = TypeVar("P", bound=Place)


def read_place(path: Path, make: Callable[[dict[str, Any]], P]) -> P:
    """What `make` makes of the JSON at `path`. Refused when it isn't there, or lacks something."""
    document = read_json(path)
    if document is None:
        raise Refused(f"{path} is missing or can't be read.", "Submit through dayzero, or write it.")
    try:
        made = make(document)
        _ = made.target, made.staging
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused(f"{path} can't be used ({error}).", "Submit through dayzero, or mend it.") from None
    return made


def seal(place: Place, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json, make everything read-only and lasting, and publish it by one rename."""
    write_json(place.staging / "manifest.json", manifest)
    for path in place.staging.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
        _sync(path)
    place.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.staging.rename(place.target)
    except OSError:
        if not place.target.is_dir():
            raise
        shutil.rmtree(place.staging)  # somebody published the same commit in the meantime
    _sync(place.target.parent)


def _sync(path: Path) -> None:
    """Make it survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
