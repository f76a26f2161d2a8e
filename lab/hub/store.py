"""Repositories as folders: ROOT/org/name is the head, ROOT/.hub remembers contents and past revisions.

What is served comes from ROOT/.hub/blobs, named by sha256 and hard-linked from the head, so a revision stays whole
while its folder is replaced. Folders may also be dropped in by hand (move them in: a rename is atomic); they become a
commit when they are next looked at. A file edited *in place* takes its old revision along, because both are one inode:
the old one is then gone, honestly, rather than wrong.
"""

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.hub.commits import Commit, History, commit_of
from lab.hub.dates import stamp
from lab.hub.hashes import Content, Hashes
from lab.hub.meta import META_FILE, Meta, read_meta, write_meta
from lab.hub.names import checked_path, checked_repo_id, is_repo_id

Files = Path | Mapping[str, bytes | str | Path | None]
"""A folder, or path → bytes, text, a file to copy, or None to remove the path (push only)."""

Print = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Repo:
    """A repository as it is now."""

    id: str
    meta: Meta
    head: Commit
    created_at: str

    @property
    def last_modified(self) -> str:
        return self.meta.last_modified or self.head.date


class Store:
    """All repositories under `root`. Thread-safe; the only writer of root/.hub."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._own = self.root / ".hub"
        for name in ("blobs", "history", "staging"):
            (self._own / name).mkdir(parents=True, exist_ok=True)
        self.hashes = Hashes(self._own / "hashes.jsonl")
        self._renames_file = self._own / "renames.json"
        self._renames: dict[str, str] = (
            json.loads(self._renames_file.read_text()) if self._renames_file.exists() else {}
        )
        self._seen: dict[str, tuple[Print, Repo]] = {}
        self._histories: dict[str, History] = {}
        self._lock = threading.RLock()

    # reading

    def find(self, repo_id: str) -> Repo | None:
        """The repository of that name, or None; ValueError when its .hub.json can't be read."""
        if not is_repo_id(repo_id):
            return None
        with self._lock:
            return self._look(repo_id)

    def all(self) -> list[Repo]:
        """Every repository whose .hub.json can be read, by name: one that can't must not hide the others."""
        found = []
        with self._lock:
            for repo_id in self._names():
                with suppress(ValueError):
                    found.append(self._look(repo_id))
        return [repo for repo in found if repo]

    def renamed(self, repo_id: str) -> str | None:
        """What a repository that moved away is called now."""
        seen = set()
        while repo_id in self._renames and repo_id not in seen:
            seen.add(repo_id)
            repo_id = self._renames[repo_id]
        return repo_id if seen else None

    def commit(self, repo: Repo, revision: str) -> Commit | None:
        """`main`, or a full sha of now or of the past."""
        if revision in ("main", "refs/heads/main", repo.head.sha):
            return repo.head
        with self._lock:
            return self._history(repo.id).find(revision)

    def commits(self, repo: Repo) -> list[Commit]:
        """Newest first."""
        with self._lock:
            return self._history(repo.id).commits[::-1]

    def blob(self, content: Content, path: str) -> Path | None:
        """A file with exactly these contents; None when somebody edited it in place and they are lost."""
        file = self._blob(content.sha256)
        try:
            if self.hashes.of(file, path).sha256 == content.sha256:
                return file
        except FileNotFoundError:
            return None
        with suppress(FileNotFoundError):
            file.unlink()
        return None

    def blob_named(self, sha256: str) -> Path | None:
        """The file of that hash, which whoever knows the hash may have."""
        file = self._blob(sha256)
        return file if sha256.isalnum() and file.exists() else None

    def read(self, commit: Commit, path: str) -> bytes | None:
        """A small file's bytes at a commit."""
        content = commit.files.get(path)
        file = self.blob(content, path) if content else None
        return file.read_bytes() if file else None

    # writing

    def publish(self, files: Files, repo_id: str, meta: Mapping[str, object] | None = None) -> Repo:
        """Create the repository, or replace all its files in one step; `meta` changes what .hub.json says.

        A folder's own .hub.json is the ground `meta` stands on. ValueError for bad names, bad meta or no folder.
        """
        checked_repo_id(repo_id)
        staged = self._stage(files, ground=None)
        return self._replace(repo_id, staged, dict(meta or {}), ground=staged)

    def push(self, repo_id: str, files: Files, meta: Mapping[str, object] | None = None) -> Repo:
        """Add, change or (None) remove files: a new commit on top. KeyError when there is no such repository."""
        with self._lock:
            if self.find(repo_id) is None:
                raise KeyError(repo_id)
            staged = self._stage(files, ground=self.root / repo_id)
            return self._replace(repo_id, staged, dict(meta or {}), ground=None)

    def change(self, repo_id: str, **changes: object) -> Repo:
        """Change what .hub.json says, not the files. KeyError when there is no such repository."""
        with self._lock:
            repo = self.find(repo_id)
            if repo is None:
                raise KeyError(repo_id)
            write_meta(self.root / repo_id, repo.meta.with_changes({"created_at": repo.created_at, **changes}))
            return self.find(repo_id)

    def grant(self, repo_id: str, user: str) -> Repo:
        """Let a user through the gate. KeyError when there is no such repository."""
        with self._lock:
            repo = self.find(repo_id)
            if repo is None:
                raise KeyError(repo_id)
            return self.change(repo_id, readers=sorted({*repo.meta.readers, user}))

    def delete(self, repo_id: str) -> None:
        """Gone, with its past. KeyError when there is no such repository."""
        with self._lock:
            if self.find(repo_id) is None:
                raise KeyError(repo_id)
            self._discard(self.root / repo_id)
            self._history_file(repo_id).unlink(missing_ok=True)
            self._forget(repo_id)

    def rename(self, repo_id: str, new_id: str) -> Repo:
        """Same repository, new name; the old one redirects. KeyError: no such; ValueError: the name is taken."""
        checked_repo_id(new_id)
        with self._lock:
            repo = self.find(repo_id)
            if repo is None:
                raise KeyError(repo_id)
            if (self.root / new_id).exists():
                raise ValueError(f"{new_id} exists already")
            write_meta(self.root / repo_id, repo.meta.with_changes({"created_at": repo.created_at}))
            for old, new in (
                (self.root / repo_id, self.root / new_id),
                (self._history_file(repo_id), self._history_file(new_id)),
            ):
                new.parent.mkdir(parents=True, exist_ok=True)
                os.rename(old, new)
            self._forget(repo_id)
            self._renames.pop(new_id, None)
            self._renames[repo_id] = new_id
            self._renames_file.write_text(json.dumps(self._renames))
            return self.find(new_id)

    # the inside

    def _names(self) -> Iterator[str]:
        for org in sorted(os.scandir(self.root), key=lambda entry: entry.name):
            if org.name.startswith(".") or not org.is_dir():
                continue
            for name in sorted(os.listdir(org.path)):
                if is_repo_id(f"{org.name}/{name}"):
                    yield f"{org.name}/{name}"

    def _look(self, repo_id: str) -> Repo | None:
        folder = self.root / repo_id
        try:
            seen_now = tuple(_prints(str(folder), ""))
            before = self._seen.get(repo_id)
            if before and before[0] == seen_now:
                return before[1]
            repo = self._commit(repo_id, folder, seen_now)
        except (FileNotFoundError, NotADirectoryError):  # perhaps somebody is taking it away right now
            return None
        self._seen[repo_id] = (seen_now, repo)
        return repo

    def _commit(self, repo_id: str, folder: Path, seen: Print) -> Repo:
        files: dict[str, Content] = {}
        newest = folder.stat().st_mtime_ns if len(seen) < 2 else 0
        for path, _, mtime_ns, _ in seen:
            if path == META_FILE:
                continue
            files[path] = self.hashes.of(folder / path, path)
            self._keep(folder / path, files[path])
            newest = max(newest, mtime_ns)
        history, meta = self._history(repo_id), read_meta(folder)
        history.add(commit_of(files, stamp(newest / 1e9)))
        return Repo(repo_id, meta, history.commits[-1], meta.created_at or history.commits[0].date)

    def _keep(self, file: Path, content: Content) -> None:
        blob = self._blob(content.sha256)
        if blob.exists() and self.blob(content, file.name):
            return
        blob.parent.mkdir(exist_ok=True)
        try:
            os.link(file.resolve(), blob)
        except OSError:  # another file system, or one without hard links
            partial = blob.with_name(f"{blob.name}.{uuid.uuid4().hex}")
            shutil.copyfile(file, partial)
            os.replace(partial, blob)

    def _stage(self, files: Files, ground: Path | None) -> Path:
        """A new folder with the ground's files (linked) and the given ones (copied), hashed before anybody waits."""
        staged = self._own / "staging" / uuid.uuid4().hex
        try:
            if ground is not None:
                shutil.copytree(ground, staged, copy_function=os.link)
            else:
                staged.mkdir()
            _write(staged, files)
            for path, *_ in _prints(str(staged), ""):
                self.hashes.of(staged / path, path)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        return staged

    def _replace(self, repo_id: str, staged: Path, changes: dict[str, object], ground: Path | None) -> Repo:
        with self._lock:
            try:
                old = self.find(repo_id)
                base = read_meta(ground) if ground and (ground / META_FILE).exists() else old.meta if old else Meta()
                dates: dict[str, object] = {}
                if old:
                    dates = {"created_at": old.created_at, "last_modified": None}
                elif not base.created_at:
                    dates = {"created_at": stamp(time.time())}
                write_meta(staged, base.with_changes({**dates, **changes}))
            except BaseException:
                shutil.rmtree(staged, ignore_errors=True)
                raise
            head = self.root / repo_id
            head.parent.mkdir(exist_ok=True)
            if old:
                self._discard(head)
            os.rename(staged, head)
            self._renames.pop(repo_id, None)
            return self.find(repo_id)

    def _discard(self, folder: Path) -> None:
        away = self._own / "staging" / uuid.uuid4().hex
        os.rename(folder, away)
        shutil.rmtree(away)

    def _forget(self, repo_id: str) -> None:
        self._seen.pop(repo_id, None)
        self._histories.pop(repo_id, None)

    def _history(self, repo_id: str) -> History:
        if repo_id not in self._histories:
            self._histories[repo_id] = History(self._history_file(repo_id))
        return self._histories[repo_id]

    def _history_file(self, repo_id: str) -> Path:
        return self._own / "history" / f"{repo_id}.jsonl"

    def _blob(self, sha256: str) -> Path:
        return self._own / "blobs" / sha256[:2] / sha256


def _prints(folder: str, prefix: str) -> Iterator[tuple[str, int, int, int]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _prints(entry.path, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".part"):
            stat = entry.stat()
            yield f"{prefix}{entry.name}", stat.st_size, stat.st_mtime_ns, stat.st_ino


def _write(staged: Path, files: Files) -> None:
    if isinstance(files, Path):
        if not files.is_dir():
            raise ValueError(f"{files} is no folder")
        skip = shutil.ignore_patterns(".git", ".cache")
        shutil.copytree(files, staged, dirs_exist_ok=True, ignore=skip, copy_function=shutil.copyfile)
        return
    for path, data in files.items():
        target = staged / checked_path(path)
        target.unlink(missing_ok=True)  # it may be a hard link to the past
        if data is None:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Path):
            shutil.copyfile(data, target)
        else:
            target.write_bytes(data.encode() if isinstance(data, str) else data)
