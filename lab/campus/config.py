"""dayzero.toml and providers.toml of the lab: an ordinary configuration, written for ports chosen a moment ago."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

JUDGE = "trusted/judge"
JUDGE_KEY = "lab-judge-key"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Ports and places that the configuration must name."""

    hub: str
    github: str
    slack_api: str
    mail_port: int
    judge: str
    gateway_port: int


def settings(
    folder: Path, at: Addresses, *, slurm: bool, engine: Path, research_user: str, gpu_memory: int, ladder: list[str]
) -> str:
    """The text of dayzero.toml. `engine` is the engine environment's folder; `gpu_memory` in bytes."""
    quoted = {key: json.dumps(str(value)) for key, value in vars(at).items()}
    return f"""\
# Written by the lab at each start; edit the lab, not this.
tick_s = 0.5

[site]
name = "the lab"
state = {json.dumps(str(folder / "state"))}
shared = {json.dumps(str(folder / "shared"))}

[cluster]
kind = {json.dumps("slurm" if slurm else "local")}
partition = "serving"
account = {json.dumps("serving" if slurm else "")}
qos = {json.dumps("serving" if slurm else "")}
tensor_parallel_across_nodes = true

[cluster.gpus.toy]
memory = {gpu_memory}
overhead = 100000
per_node = 1
gres = "toy"

[cluster.guards]
max_nodes = 2
walltime_hours = 2

{runtimes(engine)}
[serving]
ladder = {json.dumps(ladder)}
context = 512
concurrency = 4
address = "127.0.0.1"

[hub]
endpoint = {quoted["hub"]}

[watch]
organizations = ["acme"]
every_s = 2
settle_s = 0

[github]
endpoint = {quoted["github"]}
every_s = 2

[slack]
channel = "#models"
research_channel = "#research"
grading_channel = "#grading"
approvers = ["@approvers"]
api_url = {quoted["slack_api"]}

[mail]
host = "127.0.0.1"
port = {at.mail_port}
sender = "dayzero@example.com"
alerts_to = ["models@example.com"]

[gateway]
port = {at.gateway_port}
public_url = "http://127.0.0.1:{at.gateway_port}"
providers_file = {json.dumps(str(folder / "providers.toml"))}

[gauntlet]
suites = {json.dumps(str(Path(__file__).parents[1] / "suites"))}
shards = 2
judge = {json.dumps(JUDGE)}
concurrency = 2

[people.emails]
{json.dumps(research_user)} = "bob@example.com"
"""


def runtimes(engine: Path) -> str:
    """[runtimes.*]: the real vLLM and the real Transformers server of the engine environment, on the CPU."""
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
    vllm = {
        **quiet,
        "VLLM_HOST_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
        "DAYZERO_LAB_FORK": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TORCH_COMPILE_DISABLE": "1",
    }
    return "\n".join(
        [
            _runtime(
                "vllm",
                engine / "bin" / "vllm",
                ["serve"],
                ["--enforce-eager", "--kv-cache-memory-bytes", "67108864"],
                vllm,
            ),
            _runtime("transformers", engine / "bin" / "transformers", ["serve"], ["--device", "cpu"], quiet),
        ]
    )


def _runtime(name: str, program: Path, verb: list[str], args: list[str], environment: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in environment.items())
    return f"""\
[runtimes.{name}]
engine = {json.dumps(name)}
command = {json.dumps([str(program), *verb])}
args = {json.dumps(args)}
environment = {{ {pairs} }}
start_timeout_s = 300
"""


def providers(at: Addresses) -> str:
    """providers.toml: the judge is a model of somebody else's, called through LiteLLM like any proprietary one."""
    return f"""\
[[models]]
name = {json.dumps(JUDGE)}
litellm_model = "openai/judge"
api_base = {json.dumps(at.judge + "/v1")}
key_env = "LAB_JUDGE_KEY"
tags = ["candidate", "preview", "stable"]
"""
