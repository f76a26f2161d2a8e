"""PyTorch's build for CPUs, from wherever this machine may take it."""

import os
import platform
import sys
from pathlib import Path

from lab.setup.packages import StepFailed, find_links, python_version, run, uv_install


def install_torch(root: Path, python: Path, lock: Path) -> None:
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
