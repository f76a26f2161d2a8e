"""Does another living job serve from this folder? Two launchers in one folder would overwrite each other's address."""

import time
from pathlib import Path

from lifecycle.runfolder import read_json

STALE_S = 300
"""A heartbeat that is older than this, by the clocks of two nodes, is nobody's."""
WATCH_S = 12
"""A living launcher writes every 2 s; one that has not for so long is dead, or so frozen that it is no server."""
POLL_S = 0.25


def other_job(folder: Path, job: str, watch_s: float = WATCH_S) -> str:
    """The id of the job whose launcher beats in `folder`, when that isn't `job`; "" when none does.

    A heartbeat that is left from a job that was killed doesn't move: that takes `watch_s` to see.
    """
    first = read_json(folder / "heartbeat.json")
    if first is None or first.get("job") in (job, "") or time.time() - first.get("at", 0) > STALE_S:
        return ""
    until = time.monotonic() + watch_s
    while time.monotonic() < until:
        time.sleep(POLL_S)
        beat = read_json(folder / "heartbeat.json")
        if beat is not None and beat.get("job") == first["job"] and beat["at"] != first["at"]:
            return str(first["job"])
    return ""
