"""The tools environment, .venv-tools: other evaluation harnesses, which the tests and benchmarks meet as they are."""

from pathlib import Path

from lab.setup.environment import make
from lab.setup.packages import run, uv_install


def install_tools(root: Path) -> str:
    """.venv-tools, complete."""
    lock = root / "requirements" / "tools.txt"

    def fill(python: Path) -> None:
        run([*uv_install(root, python), "-r", str(lock)], "installing other evaluation harnesses")

    return make(root, "tools", [lock, Path(__file__)], fill)
