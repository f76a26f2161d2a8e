"""One builder for each kind of image. Commands are argv lists, their words go to build.log. Standard library only."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

TAIL_LINES = 30
SHOWN = ("vllm", "transformers", "torch")


class BuildFailed(Exception):
    """One sentence; `next_step` is what a person can do about it."""

    def __init__(self, sentence: str, next_step: str, tail: str = "", retryable: bool = False):
        super().__init__(sentence)
        self.next_step, self.tail, self.retryable = next_step, tail, retryable


@dataclass(frozen=True)
class Made:
    """`digest`: "sha256:" and 64 hex digits, of everything that the image holds."""

    digest: str
    versions: Mapping[str, str] = field(default_factory=dict)


def venv(order: dict, folder: Path) -> Made:
    """folder/env: a Python environment; with `base`, one that sees what is installed there, too."""
    env, python = folder / "env", folder / "env" / "bin" / "python"
    shutil.rmtree(env, ignore_errors=True)
    bare = ["--without-pip"] if _has_pip() else []  # five seconds
    _run([sys.executable, "-m", "venv", *bare, str(env)], folder, "a Python environment could not be made")
    site = next(env.glob("lib/python*/site-packages"))
    bases = [_base(Path(order["base"]), env, site)] if order["base"] else []
    wanted = ["-r", order["requirements"]] if order["requirements"] else list(order["packages"])
    if wanted:
        index = ["--extra-index-url", order["index"], "--pre"] if order["index"] else []
        what = " ".join(wanted)
        _run([*_pip(python), *index, *wanted], folder, f"{what} could not be installed")
    return _packages([site, *bases])


def overlay(order: dict, folder: Path) -> Made:
    """folder/packages: what goes before the packages of an image. Its dependencies are the image's business."""
    target = folder / "packages"
    shutil.rmtree(target, ignore_errors=True)
    python = folder.parent / order["image"] / "env" / "bin" / "python"
    # vLLM of a fork takes the compiled parts of the nearest nightly: what is patched on day 0 is Python
    environment = {"VLLM_USE_PRECOMPILED": "1"}
    program = _pip(python if python.exists() else Path(sys.executable))
    argv = [*program, "--no-deps", "--target", str(target), *order["packages"]]
    _run(argv, folder, f"{' '.join(order['packages'])} could not be installed", environment)
    return _packages([target])


def apptainer(order: dict, folder: Path) -> Made:
    """folder/image.sif, of image.def beside it."""
    argv = ["apptainer", "build", "--force", "image.sif", "image.def"]
    return _container(argv, "image.sif", folder, f"{order['source']} could not be built")


def enroot(order: dict, folder: Path) -> Made:
    """folder/image.sqsh, which Pyxis takes as --container-image and `enroot start` as it is."""
    (folder / "image.sqsh").unlink(missing_ok=True)
    source = order["source"] if "://" in order["source"] else f"docker://{order['source']}"
    argv = ["enroot", "import", "--output", "image.sqsh", source]
    return _container(argv, "image.sqsh", folder, f"{source} could not be imported")


BUILDERS: Mapping[str, Callable[[dict, Path], Made]] = {
    "venv": venv,
    "overlay": overlay,
    "apptainer": apptainer,
    "enroot": enroot,
}


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _pip(python: Path) -> list[str]:
    """`pip install` for that Python, by our own pip where we have one."""
    program = [sys.executable, "-m", "pip", "--python", str(python)] if _has_pip() else [str(python), "-m", "pip"]
    return [*program, "--disable-pip-version-check", "--no-input", "--quiet", "install"]


def _base(base: Path, env: Path, site: Path) -> Path:
    """Make `env` see the packages of `base`, and give it base's commands under its own Python."""
    found = next(iter(base.glob("lib/python*/site-packages")), None)
    if found is None or found.parent.name != site.parent.name:
        raise BuildFailed(
            f"{base} is no environment of {site.parent.name}.", "Set images.base to one, or leave it empty."
        )
    (site / "dayzero_base.pth").write_text(f"import site; site.addsitedir({str(found)!r})\n")
    for script in sorted((base / "bin").iterdir()):
        text = script.read_bytes() if script.is_file() and script.stat().st_size < 100_000 else b""
        first, _, rest = text.partition(b"\n")
        if first.startswith(b"#!") and b"python" in first and not (env / "bin" / script.name).exists():
            copy = env / "bin" / script.name
            copy.write_bytes(f"#!{env / 'bin' / 'python'}\n".encode() + rest)
            copy.chmod(0o755)
    return found


def _container(argv: Sequence[str], product: str, folder: Path, complaint: str) -> Made:
    if shutil.which(argv[0]) is None:
        raise BuildFailed(f"{argv[0]} is not installed on this node.", "Install it there, or set images.kind = 'venv'.")
    _run(argv, folder, complaint)
    digest = hashlib.sha256()
    with (folder / product).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return Made(f"sha256:{digest.hexdigest()}")


def _run(argv: Sequence[str], folder: Path, complaint: str, environment: Mapping[str, str] | None = None) -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PIP_TARGET")}
    with (folder / "build.log").open("ab") as log:
        log.write(f"$ {' '.join(argv)}\n".encode())
        log.flush()
        done = subprocess.run(
            argv, cwd=folder, env={**kept, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            check=False,
        )  # fmt: skip
    if done.returncode:
        lines = (folder / "build.log").read_text(errors="replace").splitlines()
        reason = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")
        tail = "\n".join(lines[-TAIL_LINES:])
        sentence = f"{complaint[0].upper()}{complaint[1:]}: {reason.strip()[:300].rstrip('.')}."
        raise BuildFailed(sentence, "build.log in the image's folder says more.", tail)


def _packages(sites: Sequence[Path]) -> Made:
    """Of every distribution in these folders: name, version, where from, and the hashes that its RECORD lists."""
    versions, digest = {}, hashlib.sha256()
    for line in sorted(_lines(sites)):
        digest.update(line.encode())
        name, version, _ = line.split("\0")
        if name in SHOWN:
            versions[name] = version
    return Made(f"sha256:{digest.hexdigest()}", versions)


def _lines(sites: Sequence[Path]) -> Iterator[str]:
    for found in distributions(path=[str(site) for site in sites]):
        name = (found.metadata["Name"] or "").lower()
        direct = json.dumps(json.loads(found.read_text("direct_url.json") or "{}"), sort_keys=True)
        record = hashlib.sha256((found.read_text("RECORD") or "").encode()).hexdigest()
        yield f"{name}\0{found.version}\0{direct}{record}"
