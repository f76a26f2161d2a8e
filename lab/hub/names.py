"""Which names are safe to become folders and files."""

import re
from pathlib import PurePosixPath

from lab.hub.meta import META_FILE

_REPO = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


def is_repo_id(name: str) -> bool:
    """org/name, of letters, digits, `_`, `-` and single dots."""
    return _REPO.fullmatch(name) is not None and ".." not in name and len(name) <= 96


def checked_repo_id(name: str) -> str:
    """The name itself; ValueError when it is no repository id."""
    if not is_repo_id(name):
        raise ValueError(f"{name!r} is no repository id: use org/name of letters, digits, '_', '-' and '.'")
    return name


def checked_path(path: str) -> str:
    """The path itself; ValueError when it would leave its repository."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or path == META_FILE:
        raise ValueError(f"{path!r} is no path inside a repository")
    return path
