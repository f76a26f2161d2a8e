"""What a cluster looks like: how many nodes, which GPUs, who may use it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """A cluster's parameters; times are in seconds, memory in MiB."""

    nodes: int = 4
    absent_nodes: int = 0  # more, down and without a slurmd: they cost the controller what real ones do
    gpus_per_node: int = 1
    gpu_type: str = "toy"
    cpus_per_node: int = 16
    memory_per_node_mib: int = 64_000
    grace_time_s: int = 0
    kill_wait_s: int = 10
    complete_wait_s: int = 0
    slurmd_timeout_s: int = 15
    service_user: str = "root"
    researchers: tuple[str, ...] = ("games", "news", "nobody")
    name: str = "toy"

    @property
    def node_names(self) -> list[str]:
        """toy-01, toy-02, ..."""
        return [f"toy-{number:02d}" for number in range(1, self.nodes + 1)]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, path: Path) -> "Shape":
        """The shape written at `path`."""
        fields = json.loads(path.read_text())
        fields["researchers"] = tuple(fields["researchers"])
        return cls(**fields)
