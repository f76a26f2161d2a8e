"""The picture, drawn by a light process of its own, so that no tick waits for a browser.

    python -m gauntlet.drawing FOLDER NAME

picture.json in the run's folder says how far it is: {"of": NAME, "until": epoch seconds, "done": bool, "drawn": bool}.
It is written before the process starts, so whoever is killed in between costs the picture at most, never the verdict;
a process that outlives the service goes on drawing, and is found finished.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gauntlet import picture
from lifecycle.runfolder import read_json, write_json

DEADLINE_S = picture.PATIENCE_S + 5  # the browser's, and a little for the process around it
SOURCE = Path(__file__).parents[1]


def name_of(summary: Mapping[str, Any]) -> str:
    """Names a picture by what it shows, so that a verdict that people changed gets a new one."""
    return hashlib.sha256(json.dumps(summary, sort_keys=True, default=str).encode()).hexdigest()[:16]


def look(folder: Path, name: str) -> tuple[Path | None, bool]:
    """(the picture of this name or None, is it still being drawn?). Starts the drawing where nobody did."""
    state = read_json(folder / "picture.json")
    if state is None or state["of"] != name:
        if not picture.browser():
            return None, False
        write_json(folder / "picture.json", {"of": name, "until": time.time() + DEADLINE_S, "done": False})
        if not _start(folder, name):
            return None, False
        return None, True
    if state["done"]:
        drawn = folder / "report.png"
        return (drawn if state["drawn"] and drawn.exists() else None), False
    return None, time.time() < state["until"]


def _start(folder: Path, name: str) -> bool:
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "gauntlet.drawing", str(folder.absolute()), name],
            cwd=SOURCE,
            env=environment,  # no token of the service's comes near a browser
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    _children.append(process)
    _children[:] = [child for child in _children if child.poll() is None]
    return True


_children: list[subprocess.Popen] = []
"""Kept until they have ended, so that none becomes a zombie."""


def main(arguments: list[str]) -> int:
    """Draw, and say so."""
    from gauntlet.conclude import judge  # conclude asks this module whether there is a picture

    folder, name = Path(arguments[0]), arguments[1]
    c = judge(folder)
    path = folder / "report.png"
    drawn = picture.draw_picture(path, c.run, c.outcome, c.reasons, c.suites) is not None
    until = (read_json(folder / "picture.json") or {}).get("until", 0)
    write_json(folder / "picture.json", {"of": name, "until": until, "done": True, "drawn": drawn})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
