"""The quantize environment, .venv-quantize: llm-compressor for CPUs. Only when asked for: nothing else needs it."""

import sys
from pathlib import Path

from lab.setup import engine
from lab.setup.packages import StepFailed, python_version, run, uv_install
from lab.setup.stamp import Stamp, digest


def install_quantize(root: Path) -> str:
    """.venv-quantize, complete and imported once; `.venv` must be there, for its uv."""
    folder, lock, torch = root / ".venv-quantize", root / "requirements/quantize.txt", root / "requirements/torch.txt"
    stamp = Stamp(folder, digest(lock, torch, Path(__file__), also=python_version()))
    if stamp.is_current():
        return "already there"
    uv = root / ".venv" / "bin" / "uv"
    if not uv.exists():
        raise StepFailed("The quantize environment is installed by .venv's uv: run the step `service` first.")
    run([str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)], "creating .venv-quantize")
    stamp.begin()
    python = folder / "bin" / "python"
    engine._install_torch(root, python, torch)
    # --no-deps: everything is in the lock already, and torch's own packages for GPUs are not wanted
    run([*uv_install(root, python), "--no-deps", "-r", str(lock)], "installing llm-compressor")
    run([str(python), "-c", "import llmcompressor"], "importing llm-compressor for the first time")
    stamp.finish()
    return ".venv-quantize installed"
