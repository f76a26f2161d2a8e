"""What the lab's GitHub holds: repositories, releases, dispatches; in memory, and in a JSON file when given one."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from lab.github.records import Dispatch, Release

CHANGEABLE = ("tag", "name", "body", "draft", "prerelease", "published_at")


class Shelf:
    """Thread-safe. `file`, if any, is replaced atomically after each change and read at the start."""

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock, self._lock = file, clock, threading.RLock()
        kept = json.loads(file.read_text()) if file and file.exists() else {}
        self.repos: set[str] = set(kept.get("repos", []))
        self.releases: list[Release] = [Release(**row) for row in kept.get("releases", [])]
        self.dispatches: list[Dispatch] = [Dispatch(**row) for row in kept.get("dispatches", [])]
        self.files: dict[str, str] = kept.get("files", {})
        self._last_id: int = kept.get("last_id", 0)

    def add_repo(self, repo: str) -> None:
        """A repository, perhaps without releases; ValueError when it isn't owner/name."""
        if repo.count("/") != 1 or not all(repo.split("/")):
            raise ValueError(f"{repo!r} is no owner/name")
        with self._lock:
            self.repos.add(repo)
            self._save()

    def publish(
        self,
        repo: str,
        tag: str,
        body: str = "",
        prerelease: bool = False,
        draft: bool = False,
        name: str | None = None,
        published_at: str | None = None,
    ) -> Release:
        """A new release, of a repository that is made if need be; ValueError when the tag has one already."""
        with self._lock:
            self.add_repo(repo)
            if self.find(repo, tag):
                raise ValueError(f"{repo} has a release {tag} already")
            now = self._now()
            self._last_id += 1
            when = published_at or now
            release = Release(
                self._last_id, repo, tag, name or tag, body, draft, prerelease, when, None if draft else when, now
            )
            self.releases.append(release)
            self._save()
            return release

    def edit(self, repo: str, tag: str, **changes: object) -> Release:
        """Change a release; publishing a draft dates it now. KeyError: no such release; ValueError: no such field."""
        if unknown := set(changes) - set(CHANGEABLE):
            raise ValueError(f"a release has no {', '.join(sorted(unknown))}; change {', '.join(CHANGEABLE)}")
        with self._lock:
            old = self.find(repo, tag)
            if old is None:
                raise KeyError(f"{repo} {tag}")
            new = replace(old, **changes, updated_at=self._now())
            if old.draft and not new.draft and new.published_at is None:
                new = replace(new, published_at=self._now())
            self.releases[self.releases.index(old)] = new
            self._save()
            return new

    def delete(self, repo: str, tag: str) -> None:
        """KeyError when there is no such release."""
        with self._lock:
            old = self.find(repo, tag)
            if old is None:
                raise KeyError(f"{repo} {tag}")
            self.releases.remove(old)
            self._save()

    def put_file(self, repo: str, ref: str, path: str, text: str) -> None:
        """What stands in a file at a tag."""
        with self._lock:
            self.add_repo(repo)
            self.files[f"{repo}@{ref}:{path}"] = text
            self._save()

    def file(self, repo: str, ref: str, path: str) -> str | None:
        return self.files.get(f"{repo}@{ref}:{path}")

    def find(self, repo: str, tag: str) -> Release | None:
        """The release of that tag, draft or not."""
        return next((release for release in self.releases if (release.repo, release.tag) == (repo, tag)), None)

    def record(self, repo: str, event_type: str, client_payload: Mapping[str, object], by: str) -> Dispatch:
        """Note a repository_dispatch."""
        with self._lock:
            dispatch = Dispatch(repo, event_type, dict(client_payload), by)
            self.dispatches.append(dispatch)
            self._save()
            return dispatch

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))

    def _save(self) -> None:
        if self._file is None:
            return
        partial = self._file.with_name(self._file.name + ".part")
        kept = {
            "repos": sorted(self.repos),
            "releases": [asdict(release) for release in self.releases],
            "dispatches": [asdict(dispatch) for dispatch in self.dispatches],
            "files": self.files,
            "last_id": self._last_id,
        }
        partial.write_text(json.dumps(kept, indent=1))
        os.replace(partial, self._file)
