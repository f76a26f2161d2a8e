"""A commit's folders and files, as GET /api/models/…/tree/… lists them."""

import hashlib

from lab.hub.commits import Commit
from lab.hub.refusals import no_entry


def entries(commit: Commit, folder: str, recursive: bool, expand: bool) -> list[dict[str, object]]:
    """Rows for everything below `folder` ("" is the top), folders included; a missing folder is refused with 404."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    inside = [path for path in commit.files if path.startswith(prefix)]
    if prefix and not inside:
        raise no_entry(folder)
    rows: dict[str, dict[str, object]] = {}
    for path in inside:
        parts = path[len(prefix) :].split("/")
        deepest = len(parts) - 1 if recursive else min(1, len(parts) - 1)
        for depth in range(1, deepest + 1):
            name = prefix + "/".join(parts[:depth])
            rows.setdefault(name, _folder(commit, name))
        if recursive or len(parts) == 1:
            rows[path] = file_row(commit, path)
    if expand:
        for row in rows.values():
            row["lastCommit"] = {"id": commit.sha, "title": "Upload", "date": commit.date}
    return [rows[path] for path in sorted(rows)]


def file_row(commit: Commit, path: str) -> dict[str, object]:
    """One file."""
    content = commit.files[path]
    row: dict[str, object] = {"type": "file", "oid": content.oid, "size": content.size, "path": path}
    if content.lfs:
        row["lfs"] = {"oid": content.sha256, "size": content.size, "pointerSize": content.pointer_size}
    return row


def _folder(commit: Commit, name: str) -> dict[str, object]:
    below = [f"{path}\0{content.oid}" for path, content in commit.files.items() if path.startswith(f"{name}/")]
    return {"type": "directory", "oid": hashlib.sha1("\n".join(below).encode()).hexdigest(), "size": 0, "path": name}
