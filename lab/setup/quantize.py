"""The quantize environment, .venv-quantize: llm-compressor for CPUs. Only when asked for: nothing else needs it."""

from pathlib import Path

from lab.setup.environment import make
from lab.setup.packages import run, uv_install
from lab.setup.pytorch import install_torch


def install_quantize(root: Path) -> str:
    """.venv-quantize, complete and imported once."""
    lock, torch = root / "requirements" / "quantize.txt", root / "requirements" / "torch.txt"

    def fill(python: Path) -> None:
        install_torch(root, python, torch)
        # --no-deps: everything is in the lock already, and torch's own packages for GPUs are not wanted
        run([*uv_install(root, python), "--no-deps", "-r", str(lock)], "installing llm-compressor")
        run([str(python), "-c", "import llmcompressor"], "importing llm-compressor for the first time")

    return make(root, "quantize", [lock, torch, Path(__file__)], fill)
