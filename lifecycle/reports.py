"""Links to the Gauntlet's reports: whoever has one may read that report and no other, and nobody can guess one.

The gateway serves them. The key that seals them lies beside the reports, so that every host that can read a report can
tell its link. Where `gateway.public_url` is not set, people could not reach the gateway: there are no links.
"""

import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lifecycle.runfolder import RunFolder
from lifecycle.settings import Settings

PATH = "/reports/"
KEY_BYTES = 32
NAME = "report.html"


def link(settings: Settings, deployment: str, run: int) -> str:
    """The address of a run's report; '' when nobody could open it."""
    if not settings.gateway.public_url:
        return ""
    try:
        seal = _seal(_key(settings.site.shared, make=True), deployment, str(run))
    except OSError:  # a full disk: the file itself is told instead
        return ""
    return f"{settings.gateway.url.rstrip('/')}{PATH}{quote(deployment, safe='')}/{run}/{seal}"


def address(settings: Settings, deployment: str, verdict: Mapping[str, Any] | None) -> str:
    """Where people find the report of this verdict: its link, else its file; '' when there is none."""
    if not verdict or not verdict.get("report"):
        return ""
    return link(settings, deployment, verdict["run"]) or str(verdict["report"])


def find(shared: Path, rest: str) -> Path | None:
    """The report that the end of a link (what comes after PATH) leads to; None when it is no link of ours."""
    parts, key = rest.split("/"), _key(shared, make=False)
    if not key or len(parts) != 3:
        return None
    deployment, run, seal = parts
    if not hmac.compare_digest(_seal(key, deployment, run).encode(), seal.encode()):
        return None  # only what we sealed ourselves becomes a path
    report = RunFolder(shared, deployment).gauntlet(int(run)) / NAME
    return report if report.is_file() else None


def _seal(key: bytes, deployment: str, run: str) -> str:
    return hmac.digest(key, f"{deployment}\n{run}".encode(), "sha256").hex()


def _key(shared: Path, *, make: bool) -> bytes:
    """b'' while there is none. Two who make it at once end with the same one."""
    path = shared / "runs" / ".reports.key"
    with suppress(OSError):
        return path.read_bytes()
    if not make:
        return b""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".reports.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
    return path.read_bytes()
