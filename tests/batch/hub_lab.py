"""What the tests of the Hub and of the caching job share: repositories to publish, and the job as a process."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.hub.server import Hub
from lifecycle.runfolder import RunFolder, read_json, write_json

ALICE = "hf_lab_alice"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 1000,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes whose every part differs, always the same for a seed."""
    return random.Random(seed).randbytes(size)


def toy(size: int = 100_000) -> dict[str, bytes | str]:
    """A model's files; the weights are noise: nobody here loads them."""
    return {
        "config.json": json.dumps(CONFIG),
        "tokenizer.json": "{}",
        "README.md": "---\nlicense: apache-2.0\n---\n# Toy\n",
        "model.safetensors": noise(size),
    }


class Job:
    """One run folder, and the caching job on it, as the batch script would start it."""

    def __init__(self, hub: Hub, shared: Path, repo: str, revision: str, deployment: str = "toy-1", **plan: object):
        self.folder = RunFolder(shared, deployment)
        self.target = shared / "models" / repo / revision
        self.staging = shared / "models" / ".staging" / f"{repo.replace('/', '--')}--{revision}"
        document = {"repo": repo, "revision": revision, "shared": str(shared), "endpoint": hub.url, "plan": plan}
        write_json(self.folder.plan, document)

    def start(self, *options: str, token: str = "", **environment: str) -> subprocess.Popen[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HOME": str(self.folder.path),
            **environment,
        }
        if token:
            env["HF_TOKEN"] = token
        argv = [sys.executable, "-W", "error", "-m", "batch.payloads.cache_weights"]
        argv += ["--run-folder", str(self.folder.path), "--keep-free", "0", "--wait", "0.05", *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=env, cwd=Path(__file__).parents[2], stdout=pipe, stderr=pipe, text=True)

    def run(self, *options: str, token: str = "", **environment: str) -> tuple[int, str]:
        """Exit status and standard error."""
        process = self.start(*options, token=token, **environment)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    @property
    def progress(self) -> dict:
        return read_json(self.folder.cache / "progress.json") or {}

    @property
    def failure(self) -> dict:
        return read_json(self.folder.cache / "failure.json") or {}

    def part(self, name: str = "model.safetensors") -> int:
        path = self.staging / f"{name}.part"
        return path.stat().st_size if path.exists() else 0


@contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """However the block ends, the process is gone afterwards."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
