"""The tools environment, .venv-tools: other evaluation harnesses, which the tests and benchmarks meet as they are."""

import sys
from pathlib import Path

from lab.setup.packages import StepFailed, python_version, run, uv_install
from lab.setup.stamp import Stamp, digest


def install_tools(root: Path) -> str:
    """.venv-tools, made from nothing whenever its lock changes; `.venv` must be there, for its uv."""
    folder, lock = root / ".venv-tools", root / "requirements" / "tools.txt"
    stamp = Stamp(folder, digest(lock, Path(__file__), also=python_version()))
    if stamp.is_current():
        return "already there"
    uv = root / ".venv" / "bin" / "uv"
    if not uv.exists():
        raise StepFailed("The tools environment is installed by .venv's uv: run the step `service` first.")
    run([str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)], "creating .venv-tools")
    stamp.begin()
    python = folder / "bin" / "python"
    run([*uv_install(root, python), "-r", str(lock)], "installing other evaluation harnesses")
    stamp.finish()
    return ".venv-tools installed"
