"""An environment beside the service's own: made from nothing whenever its locks change or a run was cut short.

uv keeps the files in its cache, so that takes seconds, and a half-unpacked package can't hide in it.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.setup.packages import StepFailed, python_version, run
from lab.setup.stamp import Stamp, digest


def make(root: Path, name: str, of: Sequence[Path], fill: Callable[[Path], None]) -> str:
    """`.venv-<name>`, filled by `fill`, which is given its Python; `of` are the files that it is made of.

    `.venv` must be there, for its uv: StepFailed otherwise.
    """
    folder = root / f".venv-{name}"
    stamp = Stamp(folder, digest(*of, also=python_version()))
    if stamp.is_current():
        return "already there"
    uv = root / ".venv" / "bin" / "uv"
    if not uv.exists():
        raise StepFailed(f"The {name} environment is installed by .venv's uv: run the step `service` first.")
    run([str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)], f"creating {folder.name}")
    stamp.begin()
    fill(folder / "bin" / "python")
    stamp.finish()
    return f"{folder.name} installed"
