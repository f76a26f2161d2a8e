"""A repository's past: every state its folder was seen in, named by contents, so a pinned revision stays readable."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.hub.hashes import Content


@dataclass(frozen=True)
class Commit:
    """One state of a repository: path → contents. `date` is a stamp."""

    sha: str
    date: str
    files: Mapping[str, Content]

    @property
    def bytes(self) -> int:
        return sum(content.size for content in self.files.values())


def commit_of(files: Mapping[str, Content], date: str) -> Commit:
    """Equal files give an equal sha, whatever the date or the repository's name."""
    lines = "".join(f"{path}\0{files[path].sha256}\n" for path in sorted(files))
    return Commit(hashlib.sha1(f"lab tree\n{lines}".encode()).hexdigest(), date, dict(sorted(files.items())))


class History:
    """The commits of one repository, oldest first, in a file of JSON lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.commits: list[Commit] = []
        if file.exists():
            self.commits = [_commit_from(json.loads(line)) for line in file.read_text().splitlines()]

    def add(self, commit: Commit) -> None:
        """Append, unless it is what the last one was."""
        if self.commits and self.commits[-1].sha == commit.sha:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as out:
            out.write(json.dumps(asdict(commit)) + "\n")
        self.commits.append(commit)

    def find(self, sha: str) -> Commit | None:
        """The commit of that full sha."""
        return next((commit for commit in reversed(self.commits) if commit.sha == sha), None)


def _commit_from(data: dict) -> Commit:
    return Commit(data["sha"], data["date"], {path: Content(**content) for path, content in data["files"].items()})
