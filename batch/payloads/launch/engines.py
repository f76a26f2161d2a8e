"""The command line and environment of each rank, for each engine. Pure."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from batch.payloads.launch.order import Order, Rung, Shape

VLLM_DTYPES = frozenset({"auto", "half", "float16", "bfloat16", "float", "float32"})

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""An engine calls nobody but its own ranks; with a proxy set, that hangs."""


@dataclass(frozen=True)
class Place:
    """Where this attempt runs: `addresses` of the ranks' nodes, the first one's ports."""

    addresses: tuple[str, ...]
    http_port: int
    master_port: int

    @property
    def url(self) -> str:
        return f"http://{self.addresses[0]}:{self.http_port}"

    @property
    def bind(self) -> str:
        """Loopback when that is how we are reached, else every interface: other hosts must get in."""
        try:
            return self.addresses[0] if ipaddress.ip_address(self.addresses[0]).is_loopback else "0.0.0.0"
        except ValueError:
            return "127.0.0.1" if self.addresses[0] == "localhost" else "0.0.0.0"


@dataclass(frozen=True)
class Engine:
    """`spans`: does it run on every node? `model` is what requests must call it."""

    spans: bool
    metrics: bool
    model: Callable[[Order], str]
    argv: Callable[[Order, Rung, Place, int], list[str]]


def vllm(order: Order, rung: Rung, place: Place, rank: int) -> list[str]:
    """`vllm serve`, in vLLM's own multi-node mode where there are several ranks: no Ray."""
    shape, ranks = order.shape, len(place.addresses)
    argv = [*_program(rung), str(order.model_folder), "--served-model-name", order.served_name]
    argv += ["--max-model-len", str(shape.context)]
    argv += ["--dtype", shape.dtype if shape.dtype in VLLM_DTYPES else "auto"]
    argv += ["--tensor-parallel-size", str(shape.tensor), "--pipeline-parallel-size", str(shape.pipeline)]
    if shape.data > 1:
        argv += ["--data-parallel-size", str(shape.data)]
    if shape.expert:
        argv += ["--enable-expert-parallel"]
    if shape.trust_remote_code:
        argv += ["--trust-remote-code"]
    if ranks > 1:
        argv += _data_ranks(shape, place, rank) if shape.data > 1 else _model_ranks(place, rank)
    if rank == 0:
        argv += ["--host", place.bind, "--port", str(place.http_port)]
    else:
        argv += ["--headless"]
    return [*argv, *rung.args]


def _model_ranks(place: Place, rank: int) -> list[str]:
    ranks = ["--nnodes", str(len(place.addresses)), "--node-rank", str(rank)]
    master = ["--master-addr", place.addresses[0], "--master-port", str(place.master_port)]
    return [*ranks, *master, "--distributed-executor-backend", "mp"]


def _data_ranks(shape: Shape, place: Place, rank: int) -> list[str]:
    here = shape.data // len(place.addresses)
    argv = ["--data-parallel-size-local", str(here), "--data-parallel-address", place.addresses[0]]
    argv += ["--data-parallel-rpc-port", str(place.master_port)]
    return [*argv, "--data-parallel-start-rank", str(rank * here)] if rank else argv


def transformers(order: Order, rung: Rung, place: Place, rank: int) -> list[str]:
    """`transformers serve`, pinned to the folder; it knows no other name for the model."""
    argv = [*_program(rung), str(order.model_folder), "--host", place.bind, "--port", str(place.http_port)]
    argv += ["--dtype", order.shape.dtype if order.shape.dtype in VLLM_DTYPES else "auto"]
    if order.shape.trust_remote_code:
        argv += ["--trust-remote-code"]
    return [*argv, *rung.args]


def _program(rung: Rung) -> list[str]:
    """The runtime's command; `serve` is added to a bare `vllm` or `transformers`."""
    bare = PurePath(rung.argv[-1]).name == rung.engine
    return [*rung.argv, "serve"] if bare else list(rung.argv)


ENGINES: Mapping[str, Engine] = {
    "vllm": Engine(True, True, lambda order: order.served_name, vllm),
    "transformers": Engine(False, False, lambda order: str(order.model_folder), transformers),
}


def environment(rung: Rung, inherited: Mapping[str, str]) -> dict[str, str]:
    """`inherited` without proxies, offline, as patient as we are; the runtime's own wins."""
    kept = {key: value for key, value in inherited.items() if key not in PROXIES}
    ours = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONUNBUFFERED": "1",
        # vLLM gives its own engine 10 minutes, too short for a large model on a busy file system
        "VLLM_ENGINE_READY_TIMEOUT_S": str(int(rung.start_timeout_s)),
        # a file system that fails over freezes ranks for minutes, and they recover
        "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "3600",
    }
    return {**kept, **ours, **rung.environment}


def fill(text: str, *, rank: int, node: str, address: str, job: str) -> str:
    """Replace {rank}, {node}, {node_address} and {job}; any other brace stays, JSON has many."""
    known = {"{rank}": str(rank), "{node}": node, "{node_address}": address, "{job}": job}
    for mark, value in known.items():
        text = text.replace(mark, value)
    return text


def installed_version(rung: Rung) -> str:
    """Of an engine that doesn't tell: from the metadata beside the program; '' when that isn't to be found."""
    program = Path(rung.argv[0])
    found = sorted(program.parent.parent.glob(f"lib/python*/site-packages/{rung.engine}-*.dist-info"))
    return found[0].name.removeprefix(f"{rung.engine}-").removesuffix(".dist-info") if found else ""
