"""The layers hold, and what is said about packages is true."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("lifecycle", "batch", "gauntlet", "gateway", "bot")


def test_the_import_contracts_hold() -> None:
    """bot → batch | gauntlet | gateway → lifecycle, and what runs on a node knows no Slack, LiteLLM or SQLite."""
    code = "import sys\nfrom importlinter.cli import lint_imports_command\nsys.exit(lint_imports_command())"
    argv = [sys.executable, "-c", code, "--no-cache"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def test_every_init_is_empty() -> None:
    """A node that imports one payload imports nothing else."""
    found = [p for p in sources(*SHIPPED, "lab", "bench", "tests") if p.name == "__init__.py"]
    full = {str(p.relative_to(ROOT)) for p in found if p.read_text().strip()}
    assert full <= {"batch/scheduler/__init__.py"}  # `choose`; no node imports the scheduler


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_nothing_that_ships_imports_the_lab() -> None:
    """Nor the benchmarks, nor the tests."""
    for path in sources(*SHIPPED):
        roots = {name.partition(".")[0] for name in imports(path)}
        assert not roots & {"lab", "bench", "tests", "docs"}, path


PURE = [
    "bot/show.py", "bot/sentences.py", "bot/stories.py", "bot/commands.py", "bot/slack/cards.py",
    "bot/slack/planned.py", "bot/slack/text.py",
    "bot/watch/difference.py", "bot/checks/slurm_words.py", "lifecycle/machine.py", "lifecycle/naming.py",
    "lifecycle/plans.py", "lifecycle/models.py", "lifecycle/jobs.py",
]  # fmt: skip
OUTSIDE = {
    "os", "socket", "subprocess", "pathlib", "httpx", "aiohttp", "sqlite3", "sqlite_utils", "smtplib", "threading",
    "asyncio", "tempfile", "shutil", "random",
}  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_what_is_said_to_be_pure_reaches_for_nothing_outside(name: str) -> None:
    """Values in, values out: no file, no process, no network, no database, no chance."""
    path = ROOT / name
    assert not {module.partition(".")[0] for module in imports(path)} & OUTSIDE
    called = {
        n.func.id
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert not called & {"open", "print", "input"}
