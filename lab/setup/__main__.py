"""Everything a fresh clone needs, in one command: `python3 -m lab.setup`. Standard library only.

    python3 -m lab.setup                 all steps; a second run finds everything there and takes no time
    python3 -m lab.setup --no-engine     without the real vLLM (2 GB) and the tiny models that it serves
    python3 -m lab.setup --only models   one step
    python3 -m lab.setup --only quantize llm-compressor, which no other step installs

Environment: DAYZERO_SETUP_SKIP_SYSTEM=1 leaves the system's packages alone. DAYZERO_TORCH_INDEX names the package index
that torch comes from, PIP_FIND_LINKS or UV_FIND_LINKS a folder of wheels, PIP_INDEX_URL the index of everything else.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python must get a sentence, so nothing newer stands above this
    sys.exit(
        "dayzero needs Python 3.11 or newer, and this is Python %d.%d (%s).\n"  # noqa: UP031
        "Run the setup with another interpreter, for example: python3.11 -m lab.setup"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.models.characters import MODELS
from lab.models.shelf import NotTrained, ensure
from lab.setup.engine import install_engine
from lab.setup.packages import StepFailed, install_service
from lab.setup.quantize import install_quantize
from lab.setup.stamp import only_one
from lab.setup.system import install_system
from lab.setup.tools import install_tools

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("service", "engine", "tools", "system", "models")
EXTRA = ("quantize",)
"""Steps that are only taken when they are asked for."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m lab.setup", description=__doc__.splitlines()[0])
    parser.add_argument("--no-engine", action="store_true", help="leave out vLLM, and the models that need it")
    parser.add_argument("--no-system", action="store_true", help="leave the system's packages alone")
    every = (*STEPS, *EXTRA)
    parser.add_argument("--only", choices=every, action="append", help="run only this step (may be given again)")
    options = parser.parse_args()
    wanted = set(options.only or STEPS)
    if options.no_engine:
        wanted -= {"engine", "models"}
    if options.no_system or os.environ.get("DAYZERO_SETUP_SKIP_SYSTEM") == "1":
        wanted -= {"system"}
    try:
        with only_one(ROOT / ".lab" / "setup.lock"):
            for name in (*STEPS, *EXTRA):
                if name in wanted:
                    _timed(name, _STEP[name])
    except (StepFailed, NotTrained) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    return 0


def _timed(name: str, step: Callable[[Path], str]) -> None:
    started = time.monotonic()
    outcome = step(ROOT)
    print(f"{name:8} {time.monotonic() - started:6.1f} s  {outcome}", flush=True)


def _models(root: Path) -> str:
    shelf = root / ".lab" / "models"

    def train(name: str) -> str:
        return name if ensure(name, root / ".venv-engine" / "bin" / "python", shelf).trained else ""

    first = train(MODELS[0])  # the others start from it, and from then on each needs one core
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        trained = [name for name in (first, *pool.map(train, MODELS[1:])) if name]
    return f"trained {', '.join(trained)}" if trained else "already there"


_STEP: dict[str, Callable[[Path], str]] = {
    "service": install_service,
    "engine": install_engine,
    "tools": install_tools,
    "system": install_system,
    "models": _models,
    "quantize": install_quantize,
}

if __name__ == "__main__":
    sys.exit(main())
