"""Where trained models stand: one folder each, made once, remade when the script or the pairs change.

Standard library only: it runs before any environment is there. Training itself runs under the engine's Python.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.models.characters import MODELS, STARTS_FROM

HERE = Path(__file__).parent
_MADE_FROM = ("train.py", "card.py", "characters.py", "pairs.py", "pairs.jsonl", "smalltalk.jsonl", "template.jinja")


class NotTrained(Exception):
    """Training failed; the text says what the script said and what to do next."""


@dataclass(frozen=True)
class OnShelf:
    """`folder` holds a model as a Hub repository would; `trained` is True when it was trained just now."""

    folder: Path
    trained: bool


def ensure(name: str, python: Path, shelf: Path) -> OnShelf:
    """The folder of model `name` under `shelf`, trained by `python` if it is not there yet. NotTrained on failure."""
    if name not in MODELS:
        raise NotTrained(f"There is no tiny model {name!r}; there are {', '.join(MODELS)}.")
    folder, stamp, wanted = shelf / name, shelf / f"{name}.stamp", recipe()
    if stamp.is_file() and stamp.read_text() == wanted and folder.is_dir():
        return OnShelf(folder, trained=False)
    if not python.exists():
        raise NotTrained(f"The tiny models are trained by {python}, which is not there: run python3 -m lab.setup.")
    shelf.mkdir(parents=True, exist_ok=True)
    start = ["--start", ensure(STARTS_FROM[name], python, shelf).folder] if name in STARTS_FROM else []
    fresh = shelf / f".{name}.{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    done = subprocess.run(
        [python, "-m", "lab.models.train", "--model", name, *start, "--out", fresh],
        cwd=HERE.parents[1],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise NotTrained(f"The tiny model {name} was not trained:\n{said}\nMend that and run the setup again.")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    stamp.write_text(wanted)
    return OnShelf(folder, trained=True)


def recipe() -> str:
    """The hash of everything a model is made from."""
    sha = hashlib.sha256()
    for name in _MADE_FROM:
        content = (HERE / name).read_bytes()
        sha.update(f"{name} {len(content)}\n".encode() + content)
    return sha.hexdigest()
