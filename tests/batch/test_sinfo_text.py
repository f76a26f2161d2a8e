"""GPUs of a site, as sinfo prints its nodes."""

import pytest

from batch.scheduler.sinfo_text import gpus_of


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("", 0),
        ("n1|idle|gpu:h100:8\nn2|mixed|gpu:h100:8(S:0-1)\n", 16),
        ("n1|idle|gpu:h100:8\nn1|idle|gpu:h100:8\n", 8),  # in two partitions
        ("n1|idle|gpu:8\nn2|idle|(null)\n", 8),
        ("n1|allocated|gpu:a100:4,gpu:mig:2,shard:64\n", 6),
        ("n1|down*|gpu:8\nn2|drained|gpu:8\nn3|draining|gpu:8\nn4|idle~|gpu:8\nn5|reserved|gpu:8\n", 16),
        ("n1|idle|craynetwork:4\n", 0),
        ("garbage\n|\n||\n", 0),
    ],
)
def test_gpus_are_counted(text: str, gpus: int) -> None:
    """Types or none, sockets, several kinds on a node, nodes that are away or asleep."""
    assert gpus_of(text) == gpus
