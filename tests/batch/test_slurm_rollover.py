"""A rollover on a real Slurm: jobs with a time limit take turns, and nobody who asks meanwhile notices."""

from pathlib import Path

import pytest

from lab.slurm.cluster import Cluster as Lab
from lifecycle import servers
from lifecycle.world import Limits
from tests.batch.slurm_town import Callers, SlurmTown

pytestmark = pytest.mark.slurm


def test_a_rollover_without_a_lost_request(slurm_cluster: Lab, tmp_path: Path) -> None:
    """The successor is UP before the elder drains; a route stands at every tick; each request is answered."""
    at_once = Limits(rollover_s=599, rollover_share=0.998)
    town = SlurmTown(tmp_path, walltime_s=600, limits=at_once)
    try:
        town.serve()
        with Callers(town) as people:
            seen: list[int] = []

            def relieved() -> bool:
                seen.append(len(town.urls()))
                return [s.state for s in town.servers[:2]] == [servers.GONE, servers.UP]

            town.ticks(relieved, 60, "the elder to be gone")
            answered = people.answered
            town.ticks(lambda: people.answered > answered, 20, "an answer of the successor")
        assert people.lost == [] and min(seen) >= 1
        moves = [k for k in town.kinds() if k.startswith(("server.", "note.rollover"))]
        ready = [n for n, k in enumerate(moves) if k == "server.ready"]
        assert ready[1] < moves.index("server.drain") < moves.index("server.gone"), moves
        assert town.deployment.state == "PREVIEW" and "server.lost" not in moves
    finally:
        town.close()
