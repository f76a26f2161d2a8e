"""Python environments from lock files: hashes always required, installed by uv, which is itself pinned with hashes."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.setup.stamp import Stamp, digest


class StepFailed(Exception):
    """A step that could not be done; the text says what happened and what to do next."""


def install_service(root: Path) -> str:
    """.venv: the bot, the gateway, the gauntlet, and what tests and checks them."""
    folder, lock, uv_lock = root / ".venv", root / "requirements" / "dev.txt", root / "requirements" / "uv.txt"
    stamp = Stamp(folder, digest(lock, uv_lock, also=python_version()))
    if stamp.is_current():
        return "already there"
    repair = stamp.was_interrupted()
    make_venv(folder)
    stamp.begin()
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--require-hashes"]
    try:
        run([*pip, "-r", str(uv_lock)], "installing uv")
        installer = "uv"
        run([*uv_install(root, python), *(["--reinstall"] if repair else []), "-r", str(lock)], "installing .venv")
    except StepFailed as failure:
        print(f"{failure}\nTrying again with pip, which takes longer.", file=sys.stderr, flush=True)
        installer = "pip"
        run([*pip, *(["--force-reinstall"] if repair else []), "-r", str(lock)], "installing .venv")
    compile_bytecode(python)
    stamp.finish()
    return f".venv installed by {installer}"


def python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def make_venv(folder: Path) -> None:
    """A virtual environment whose pip runs; one that is sound is left as it is."""
    python = folder / "bin" / "python"
    same = f"import pip, sys; sys.exit('{python_version()}' != '%d.%d' % sys.version_info[:2])"
    if python.exists() and subprocess.run([python, "-c", same], capture_output=True, check=False).returncode == 0:
        return
    run(
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        f"creating {folder.name} (on Debian and Ubuntu this needs the package python3-venv)",
    )


def uv_install(root: Path, python: Path) -> list[str]:
    """The argv of `uv pip install` into `python`'s environment; uv does not read pip's find-links by itself."""
    uv = root / ".venv" / "bin" / "uv"
    command = [str(uv), "pip", "install", "-q", "--python", str(python), "--require-hashes"]
    return command + find_links(os.environ)


def compile_bytecode(python: Path) -> None:
    """Once, here: where PYTHONDONTWRITEBYTECODE is set, every start of vLLM compiles all of it again."""
    packages = python.parents[1] / "lib" / f"python{python_version()}" / "site-packages"
    # Some packages carry templates and tests that are no Python of this version; compileall reports them and goes on.
    subprocess.run([python, "-m", "compileall", "-q", "-j", "0", packages], capture_output=True, check=False)


def find_links(environ: Mapping[str, str]) -> list[str]:
    """PIP_FIND_LINKS (blank-separated) and UV_FIND_LINKS (comma-separated) as options."""
    places = environ.get("PIP_FIND_LINKS", "").split() + environ.get("UV_FIND_LINKS", "").split(",")
    return [argument for place in dict.fromkeys(places) if place for argument in ("--find-links", place)]


def run(command: Sequence[str], doing: str) -> None:
    """Run one command to its end. StepFailed carries the last lines of what it said."""
    environ = dict(os.environ)
    if environ.get("PIP_INDEX_URL"):
        environ.setdefault("UV_DEFAULT_INDEX", environ["PIP_INDEX_URL"])
    if environ.get("PIP_CERT"):
        environ.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    try:
        done = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise StepFailed(f"Failed while {doing}: {error}.") from None
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise StepFailed(
            f"Failed while {doing} (exit status {done.returncode}):\n{said}\nMend that and run the setup again."
        )
