"""The right log of a deployment: where it is now, or where it broke; its last lines."""

from dataclasses import dataclass
from pathlib import Path

from lifecycle import deployments as states
from lifecycle.records import Deployment
from lifecycle.runfolder import RunFolder, read_json

LINES = 30
READ_BYTES = 64 * 1024

EXAMINED = (states.TESTING, states.HELD)


@dataclass(frozen=True)
class Tail:
    """`name` is the path inside the run folder, `text` its last lines; both empty: there is no log yet."""

    name: str
    text: str


def tail(shared: Path, deployment: Deployment, lines: int = LINES) -> Tail:
    """Of the download while CACHING, of the Gauntlet while it is examined, else of the newest server."""
    folder = RunFolder(shared, deployment.id)
    for place in _places(folder, deployment):
        if (file := _telling(place)) is not None:
            return Tail(str(file.relative_to(folder.path)), _last(file, lines))
    return Tail("", "")


def _places(folder: RunFolder, deployment: Deployment) -> list[Path]:
    """Folders in which to look, the likeliest first."""
    state = deployment.broke_in if deployment.state == states.BROKEN else deployment.state
    servers = sorted(
        (p for p in (folder.path / "servers").glob("*") if p.name.isdigit()), key=lambda p: int(p.name), reverse=True
    )
    exam = [folder.gauntlet(deployment.exam)] if deployment.exam else []
    if state == states.CACHING:
        return [folder.cache]
    return [*exam, *servers, folder.cache] if state in EXAMINED else [*servers, folder.cache]


def _telling(place: Path) -> Path | None:
    """The log that a failure names; else the one that was written last, engines' before Slurm's own."""
    failure = read_json(place / "failure.json") or {}
    named = place / Path(str(failure.get("log") or "-")).name  # only a file of this folder, whatever it says
    if named.is_file():
        return named
    for pattern in ("*.log", "*.out"):
        found = [p for p in place.glob(pattern) if p.is_file() and p.stat().st_size]
        if found:
            return max(found, key=lambda p: p.stat().st_mtime)
    return None


def _last(file: Path, lines: int) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - READ_BYTES))
        text = stream.read().decode(errors="replace")
    return "\n".join(line.rpartition("\r")[2] for line in text.splitlines()[-lines:])  # progress bars: what is left
