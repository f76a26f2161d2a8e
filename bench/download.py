"""One model's weights over loopback: our caching job beside `hf download`, curl and cp.

    python -m bench.download

The lab's Hub, one process of Python, serves eight files and is a limit of its own; it shares the machine with whoever
downloads. Each contender fetches all of it into an empty folder, in turns, several times; shown is the median and its
share of what curl gets, which checks nothing. Ours verifies every byte against the Hub's hash while it comes, and
syncs it to disk. DAYZERO_BENCH_MB is the size of the whole (512), DAYZERO_BENCH_ROUNDS how often (3).
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab.hub.server import Hub
from lifecycle.runfolder import RunFolder, write_json

MB = int(os.environ.get("DAYZERO_BENCH_MB", "512"))
ROUNDS = int(os.environ.get("DAYZERO_BENCH_ROUNDS", "3"))
FILES = 8
REPO = "acme/bench"
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dz-download-") as folder:
        place = Path(folder)
        source = place / "source"
        names = _model(source)
        with Hub(place / "hub") as hub:
            sha = hub.publish(str(source), REPO).head.sha
            urls = [f"{hub.url}/{REPO}/resolve/{sha}/{name}" for name in names]
            contenders: dict[str, Callable[[Path], list[str]]] = {
                "dayzero's caching job": lambda to: _ours(hub.url, sha, to),
                "hf download": lambda to: _hf(sha, to),
                "curl, eight at once": lambda to: _curl(urls, to),
                "cp": lambda to: ["cp", "-r", str(source), str(to)],
            }
            took: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(ROUNDS):
                for name, argv_of in contenders.items():
                    took[name].append(_time(argv_of, place / "to", hub.url))
    _print({name: statistics.median(seconds) for name, seconds in took.items()})


def _model(folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    names = [f"model-{n:05d}-of-{FILES:05d}.safetensors" for n in range(1, FILES + 1)]
    for name in names:
        (folder / name).write_bytes(os.urandom(MB * 10**6 // FILES))
    index = ", ".join(f'"w{n}": "{name}"' for n, name in enumerate(names))
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{index}}}}}')
    return names


def _ours(endpoint: str, sha: str, to: Path) -> list[str]:
    folder = RunFolder(to, "bench")
    write_json(folder.plan, {"repo": REPO, "revision": sha, "shared": str(to), "endpoint": endpoint, "plan": {}})
    return [sys.executable, "-m", "batch.payloads.cache_weights", "--run-folder", str(folder.path), "--keep-free", "0"]


def _hf(sha: str, to: Path) -> list[str]:
    program = Path(sys.executable).with_name("hf")
    return [str(program), "download", REPO, "--revision", sha, "--local-dir", str(to), "--quiet"]


def _curl(urls: list[str], to: Path) -> list[str]:
    to.mkdir()
    options = ["-sfLZ", "--no-progress-meter", "--parallel-max", "8", "--output-dir", str(to), "--remote-name-all"]
    return ["curl", *options, *urls]


def _time(argv_of: Callable[[Path], list[str]], to: Path, endpoint: str) -> float:
    """Seconds from the start of the program to its end, and until the disk has it all."""
    argv = argv_of(to)
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                   "HF_HOME": str(to.with_name("hf-home")), "NO_PROXY": "127.0.0.1,localhost"}  # fmt: skip
    began = time.monotonic()
    subprocess.run(argv, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    files = list(to.rglob("*.safetensors"))
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    seconds = time.monotonic() - began
    arrived = sum(p.stat().st_size for p in files)
    assert arrived == MB * 10**6 // FILES * FILES, f"{argv[0]} brought {arrived} bytes"
    shutil.rmtree(to)
    return seconds


def _print(medians: dict[str, float]) -> None:
    plain = medians["curl, eight at once"]
    for name, seconds in medians.items():
        print(f"{name:28} {seconds:7.2f} s {MB / seconds:8.0f} MB/s {plain / seconds:7.0%} of curl")


if __name__ == "__main__":
    main()
