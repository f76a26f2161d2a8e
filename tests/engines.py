"""Real engines for tests, on free ports of loopback: started, waited for, ended."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / ".venv-engine" / "bin"
QUICK = {"DAYZERO_LAB_FORK": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
QUICK |= {"TORCH_COMPILE_DISABLE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
QUICK |= {"VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}

needs_engine = pytest.mark.skipif(not (ENGINE / "vllm").exists(), reason="no engine environment: make setup")

VLLM = ["--served-model-name", "tiny", "--max-model-len", "512", "--enforce-eager"]
VLLM += ["--kv-cache-memory-bytes", "67108864"]
VLLM_TOOLS = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
# a model that never learned JSON writes blanks for ever where the grammar allows them
VLLM_TOOLS += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
TRANSFORMERS = ["--device", "cpu"]


@contextmanager
def serving(program: str, folder: Path | None, arguments: list[str], model: str, log: Path) -> Iterator[str]:
    """Its URL, once it has completed something. Without a `folder`, Transformers' server loads what is asked for.

    Raises EngineDied.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [ENGINE / program, "serve", *([folder] if folder else []), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*argv, "--dtype", "bfloat16", *arguments],
            env=os.environ | QUICK, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _completes(url, model, process, log), 420, f"{program} to complete something", every=0.5)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


class EngineDied(Exception):
    """It ended before it answered; what it had logged."""


def _completes(url: str, model: str, process: subprocess.Popen, log: Path) -> bool:
    if process.poll() is not None:
        raise EngineDied(log.read_text(errors="replace"))
    try:
        asked = {"model": model, "prompt": "Hello", "max_tokens": 1}
        return httpx.post(f"{url}/v1/completions", json=asked, timeout=90).status_code == 200
    except httpx.TransportError:
        return False
