"""Over-preemption, reproduced: jobs that ignore SIGTERM in a long grace cost a second pair that nobody needed.

Slurm's own waiting takes two minutes of it, so it runs only when asked for: DAYZERO_SLOW=1.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.slurm.cluster import Cluster
from lab.slurm.temporary import temporary_cluster
from lifecycle import queries, victims
from tests.batch.slurm_town import SlurmTown
from tests.waiting import until

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(400),
    pytest.mark.skipif("DAYZERO_SLOW" not in os.environ, reason="two minutes each: DAYZERO_SLOW=1"),
]

KILL_WAIT_S = 25
DEAF = 'srun bash -c "trap : TERM; while :; do sleep 1; done"'
RESEARCH = ("--account=research", "--qos=research", "--partition=research", "--gres=gpu:1", "--requeue")


@pytest.fixture(params=[0, KILL_WAIT_S + 2], ids=["as delivered", "CompleteWait"])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    shape = {"grace_time_s": 15, "kill_wait_s": KILL_WAIT_S, "complete_wait_s": request.param}
    with temporary_cluster(**shape) as cluster:
        for name, value in cluster.env().items():
            monkeypatch.setenv(name, value)
        yield cluster


def test_the_second_pair(cluster: Cluster, tmp_path: Path) -> None:
    """Four deaf jobs, a server of two nodes: two more are requeued, written down and told as unforeseen; none where
    Slurm starts nothing while jobs are completing."""
    deaf = [cluster.ask("sbatch", "--parsable", *RESEARCH, "-o", "/dev/null", "--wrap", DEAF).strip() for _ in range(4)]
    running = lambda: cluster.ask("squeue", "-h", "-t", "R", "-o", "%i").split()  # noqa: E731
    until(lambda: len(running()) == 4, 30, "four jobs on four nodes")
    with closing(SlurmTown(tmp_path, nodes=2)) as town:
        rows = lambda: queries.victims_of(town.ledger.connection, town.name)  # noqa: E731
        town.ticks(lambda: town.servers and town.servers[0].started_at, 120, "the server to get its nodes")
        marked = cluster.ask("squeue", "-h", "-t", "R", "-q", "research", "-O", "PreemptTime:22").split()
        if cluster.shape.complete_wait_s:
            assert marked == ["N/A", "N/A"] and len(rows()) == 2, "the others are left alone"
        else:
            assert "N/A" not in marked and len(marked) == 2, "Slurm has chosen two more, though the server runs"
            town.ticks(lambda: len(rows()) == 4, 120, "both to be written down")
            assert {row.handle for row in rows()} == set(deaf)
            assert [row.state for row in rows()] == [victims.REQUEUED] * 4
            told = [event for event in queries.history(town.ledger.connection, town.name) if event.victim_id]
            assert sum(bool(event.detail.get("unforeseen")) for event in told) == 2
        cluster.ask("scancel", *deaf)
