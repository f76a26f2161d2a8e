"""The campus: where its cluster may live, and that its configuration is one dayzero accepts."""

import tomllib
from pathlib import Path

import pytest

from lab.campus import config
from lab.campus.campus import cluster_folder
from lab.slurm.layout import LONGEST_FOLDER
from lifecycle import settings


def test_the_cluster_lives_inside_where_everybody_can_enter() -> None:
    """A short open folder holds its own cluster."""
    assert cluster_folder(Path("/tmp")) == Path("/tmp/slurm")


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_cluster_moves_out_of_long_and_closed_folders(tmp_path: Path, mode: int) -> None:
    """A path too long for a unix socket, or closed to other users: a place of its own, the same at each start."""
    deep = tmp_path / ("x" * LONGEST_FOLDER if mode == 0o755 else "closed")
    deep.mkdir(mode=mode)
    deep.chmod(mode)
    placed = cluster_folder(deep)
    assert placed == cluster_folder(deep) != cluster_folder(deep / "other")
    assert len(str(placed)) <= LONGEST_FOLDER
    assert placed.parent == Path("/tmp")


@pytest.mark.parametrize("slurm", [True, False])
def test_its_configuration_is_an_ordinary_one(tmp_path: Path, slurm: bool) -> None:
    """dayzero reads the lab's settings as it reads anybody's, whatever the folder is called."""
    folder = tmp_path / 'a "quoted" folder'
    at = config.Addresses(
        hub="http://127.0.0.1:1", github="http://127.0.0.1:2", slack_api="http://127.0.0.1:3/api/", mail_port=4,
        judge="http://127.0.0.1:5", gateway_port=6,
    )  # fmt: skip
    text = config.settings(
        folder, at, slurm=slurm, engine=folder, research_user="games", gpu_memory=2_000_000, ladder=["vllm"]
    )
    parsed = settings.parse(tomllib.loads(text), folder / "dayzero.toml", {})
    assert parsed.site.shared == folder / "shared"
    assert parsed.cluster.kind == ("slurm" if slurm else "local")
    assert tomllib.loads(config.providers(at))["models"][0]["name"] == config.JUDGE
