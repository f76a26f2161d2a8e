"""The main job on the lab's real Slurm with real vLLM: seconds per stage, and what of it is the engine's own."""

import shutil
import tempfile
import time
from pathlib import Path

from lab.campus.campus import ROOT, Campus
from lab.campus.story import Ledger
from lifecycle.runfolder import read_json

PATIENCE_S = 900


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="dz-"))
    folder.chmod(0o755)
    try:
        with Campus(folder) as campus:
            _print(*_run(campus))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(campus: Campus) -> tuple[dict[str, float], float | None]:
    """(moments of the story, seconds that the engine itself took to load)."""
    campus.start_gateway()
    campus.start_bot()
    campus.fill_with_research()
    ledger = Ledger(campus.folder / "state" / "ledger.db")
    _until(lambda: ledger.watched("hub:acme"))
    published = time.time()
    model = campus.publish(ROOT / ".lab" / "models", "good")
    _until(lambda: (r := ledger.release(model)) and r["state"] == "OFFERED")
    campus.person("alice").click("approve", channel="#models", timeout=30)
    first_byte = None
    progress = campus.folder / "shared" / "runs"

    def watch() -> None:
        nonlocal first_byte
        if first_byte is None:
            seen = [read_json(path) for path in progress.glob("*/cache/progress.json")]
            first_byte = next((s["at"] for s in seen if s and s.get("done", 0) > 0), None)

    row = ledger.wait(model, ("PREVIEW",), PATIENCE_S, watch)
    endpoint = read_json(progress / row["id"] / "servers" / "1" / "endpoint.json") or {}
    moments = ledger.moments(model) | {"published": published}
    if first_byte is not None:
        moments["first_byte"] = first_byte
    verdict = read_json(progress / row["id"] / "gauntlet" / "1" / "verdict.json")
    if verdict is not None:
        moments["verdict"] = verdict["at"]
    return moments, endpoint.get("engine_load_s")


def _until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the story did not begin within two minutes")
        time.sleep(0.05)


FIGURES = [
    ("publish → card", "published", "release.offered"),
    ("approve → first byte cached", "deployment.approved", "first_byte"),
    ("approve → healthy", "deployment.approved", "deployment.healthy"),
    ("healthy → verdict", "deployment.healthy", "verdict"),
    ("verdict → preview (waits for the report's picture)", "verdict", "deployment.passed"),
    ("publish → preview", "published", "deployment.passed"),
]


def _print(moments: dict[str, float], engine_load_s: float | None) -> None:
    for name, begin, end in FIGURES:
        if begin in moments and end in moments:
            print(f"{name:52} {moments[end] - moments[begin]:8.2f} s")
    if engine_load_s is not None:
        ours = moments["deployment.healthy"] - moments["deployment.approved"] - engine_load_s
        print(f"{'the engine itself: start to first completion':52} {engine_load_s:8.2f} s")
        print(f"{'approve → healthy, less the engine':52} {ours:8.2f} s")


if __name__ == "__main__":
    main()
