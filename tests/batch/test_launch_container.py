"""The launcher and an engine in a container: through a stand-in `apptainer` that really runs it in other mounts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.launching import ENGINE, Launch, rung
from tests.waiting import until

STAND_IN = """#!/bin/bash
# apptainer exec --nv IMAGE COMMAND...: the host's files read-only but for this folder
here=$(dirname "$0")
echo "$@" > "$here/asked"
shift 2; image=$1; shift
[ -e "$image" ] || { echo "FATAL: could not open image $image: no such file or directory" >&2; exit 255; }
exec bwrap --ro-bind / / --dev-bind /dev /dev --proc /proc --bind "$here" "$here" --die-with-parent "$@"
"""


@pytest.fixture
def apptainer(tmp_path: Path) -> Path:
    argv = ["bwrap", "--ro-bind", "/", "/", "true"]
    if shutil.which("bwrap") is None or subprocess.run(argv, capture_output=True).returncode:
        pytest.skip("bubblewrap is not here, or may not make namespaces")
    program = tmp_path / "apptainer"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return program


def test_served_from_a_container(apptainer: Path, tmp_path: Path) -> None:
    """The command goes before the engine's own, environment and ports pass through, SIGTERM leaves no process."""
    image = tmp_path / "image.sif"
    image.write_text("")
    argv = [str(apptainer), "exec", "--nv", str(image), sys.executable, str(ENGINE), "serve"]
    launch = Launch(tmp_path, [rung(argv=argv)], nodes=1)
    try:
        assert launch.start().up()["engine"] == "vllm"
        assert (tmp_path / "asked").read_text().startswith(f"exec --nv {image} {sys.executable} {ENGINE} serve ")
        assert launch.engines()
        launch.tell()
        launch.ended()
        until(lambda: not launch.engines(), 10, "the engine in the container to be gone")
    finally:
        launch.close()


def test_an_image_that_is_not_there(apptainer: Path, tmp_path: Path) -> None:
    """The container's own words are in the failure's tail, and it is not tried for ever."""
    argv = [str(apptainer), "exec", "--nv", str(tmp_path / "gone.sif"), sys.executable, str(ENGINE), "serve"]
    launch = Launch(tmp_path, [rung(argv=argv)], nodes=1)
    try:
        assert launch.start().ended() != 0
        assert "could not open image" in launch.read("failure")["tail"]
    finally:
        launch.close()
