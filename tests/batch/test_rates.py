"""Load and download times by what was measured on this cluster, and said to be assumed where nothing was."""

from dataclasses import replace
from pathlib import Path

import pytest

from batch import rates
from batch.planning.times import timed
from bot.sight import changed
from lifecycle.runfolder import read_json, write_json
from tests.batch.launching import Launch, rung
from tests.batch.recipe_lab import PLAN, deployment, recipes, server, settings

GB = 10**9
LARGE = replace(PLAN, weights_bytes=200 * GB, nodes=2)


def test_assumed_until_measured(tmp_path: Path) -> None:
    """Without a load: a gigabyte a second, said to be assumed. With three: their median, of this GPU type alone."""
    before = timed(LARGE, settings(tmp_path))
    assert "Weights load at 1.1 GB/s into each node (assumed, until a large model was loaded)." in before.reasons
    where = rates.folder(tmp_path)
    for job, seconds in (("1", 10.0), ("2", 20.0), ("3", 50.0)):  # 10, 5 and 2 GB/s into each of two nodes
        rates.note_load(where, job, "h100", 2, 200 * GB, seconds, seconds + 30)
    rates.note_load(where, "4", "other", 1, 200 * GB, 1.0, 2.0)
    after = timed(LARGE, settings(tmp_path))
    assert "Weights load at 5.0 GB/s into each node (measured over 3 loads)." in after.reasons
    assert after.expected_load_s == 30 + 100 / 5
    assert changed(before, after) == "", "nobody has to agree again"


def test_downloads(tmp_path: Path) -> None:
    """Two jobs of 100 GB at the median rate of those before; nothing is said where none was measured."""
    site = settings(tmp_path)
    assert not any("download takes" in reason for reason in timed(LARGE, site).reasons)
    for task, seconds in (("7-0", 100.0), ("7-1", 200.0), ("8", 1000.0)):
        rates.note_fetch(rates.folder(tmp_path), task, 100 * GB, seconds)
    said = timed(LARGE, site).reasons[-1]
    assert said == "The download takes about 3 minutes (500.0 MB/s of each job, measured over 3 downloads)."


@pytest.mark.parametrize(("size", "seconds"), [(GB - 1, 5.0), (5 * GB, 0.0)])
def test_what_tells_nothing_is_not_written_down(tmp_path: Path, size: int, seconds: float) -> None:
    """Small models come out of caches, and an engine that doesn't say how long it read says nothing."""
    rates.note_load(tmp_path, "1", "h100", 1, size, seconds, 60.0)
    rates.note_fetch(tmp_path, "1", size, seconds)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """Where it can't be written down, the server is up all the same."""
    (tmp_path / "file").write_text("")
    rates.note_load(tmp_path / "file" / "rates", "1", "h100", 1, 5 * GB, 5.0, 60.0)


def test_the_launcher_writes_down_what_it_saw(tmp_path: Path) -> None:
    """A server that comes up leaves its load; the engine's own words say how much of it was reading weights."""
    launch = Launch(tmp_path, [rung()], nodes=1)
    order = launch.read("launch")
    plan = {**order["plan"], "gpu_type": "h100", "weights_bytes": 5 * GB}
    write_json(launch.folder / "launch.json", {**order, "plan": plan, "rates": str(rates.folder(tmp_path))})
    try:
        launch.start().up()
    finally:
        launch.tell_quietly()
    noted = read_json(rates.folder(tmp_path) / "load-77.json")
    assert (noted["gpu_type"], noted["nodes"], noted["bytes"], noted["weights_s"]) == ("h100", 1, 5 * GB, 1.0)
    assert noted["load_s"] > 0
    assert rates.measured(tmp_path, "h100").load == 5 * GB


def test_only_real_loads_count(tmp_path: Path) -> None:
    """A server is told where to write it down, a dry run with dummy weights is not."""
    made = recipes(tmp_path)
    made.serve(deployment(), server())
    made.dry(deployment())
    run = tmp_path / "runs" / "toy-llama-1"
    assert read_json(run / "servers/1/launch.json")["rates"] == str(rates.folder(tmp_path))
    assert read_json(run / "dry/launch.json")["rates"] == ""
