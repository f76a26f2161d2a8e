"""The gateways that are compared: how each is started in front of the same mock backend.

What is not ours lives in environments of its own under .lab/bench, made on the first run. Whoever can't be had or
started here is replaced by a sentence that says so.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench._machine import ROOT, free_port
from gateway.store import open_store
from tests.gateway.world import Ledger, configure, new_key

LAB = ROOT / ".lab" / "bench"
BINARIES = Path(sys.executable).parent
WITHIN_S = 900

NGINX = """worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
  upstream backend {{ server 127.0.0.1:{mock}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""

LITELLM = """model_list:
  - model_name: org/model
    litellm_params: {{model: hosted_vllm//weights/x, api_base: "http://127.0.0.1:{mock}/v1", api_key: none}}
general_settings: {{master_key: sk-bench}}
"""


class Missing(Exception):
    """Says who can't take part, and why."""


@dataclass
class Contender:
    name: str
    command: list[str] | None  # None: no gateway at all
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    patience_s: float = 20.0


def ours(folder: Path, mock: int) -> Contender:
    port = free_port()
    settings = configure(folder)
    file = folder / "dayzero.toml"
    file.write_text(file.read_text().replace("port = 0", f"port = {port}"))
    ledger = Ledger(settings.ledger_path)
    ledger.deploy("one", "org/model")
    ledger.serve("one", f"http://127.0.0.1:{mock}", "/weights/x")
    ledger.close()
    open_store(settings.gateway_path).close()
    command = [sys.executable, "-m", "gateway", "--config", str(file)]
    return Contender("dayzero", command, port, _bearer(new_key(settings, "stable")))


def nginx(folder: Path, mock: int) -> Contender:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        raise Missing("nginx: not installed here (Debian: apt-get install nginx-light)")
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, mock=mock, port=port))
    return Contender("nginx", [binary, "-c", str(file), "-p", str(folder)], port)


def litellm(folder: Path, mock: int) -> Contender:
    binaries = _environment("litellm", "litellm[proxy]==1.106.2")
    port, file = free_port(), folder / "litellm.yaml"
    file.write_text(LITELLM.format(mock=mock))
    command = [str(binaries / "litellm"), "--config", str(file), "--port", str(port), "--host", "127.0.0.1"]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Contender("LiteLLM proxy", command, port, _bearer("sk-bench"), environment, 90)


def sglang_router(folder: Path, mock: int) -> Contender:
    binaries, port = _environment("sglang-router", "sglang-router==0.3.2"), free_port()
    command = [str(binaries / "sglang-router"), "launch", *_router(port, mock)]
    return Contender("sglang-router", command, port, patience_s=60)


def vllm_router(folder: Path, mock: int) -> Contender:
    binaries, port = _environment("vllm-router", "vllm-router==0.1.17"), free_port()
    return Contender("vllm-router", [str(binaries / "vllm-router"), *_router(port, mock)], port, patience_s=60)


def portkey(folder: Path, mock: int) -> Contender:
    node, npm, place, port = shutil.which("node"), shutil.which("npm"), LAB / "portkey", free_port()
    if node is None or npm is None:
        raise Missing("Portkey: needs Node.js and npm")
    script = place / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not script.exists():
        place.mkdir(parents=True, exist_ok=True)
        options = ["--silent", "--no-fund", "--no-audit", "--prefix", str(place)]
        _install("Portkey", [npm, "install", *options, "@portkey-ai/gateway@1.15.2"])
    headers = {
        **_bearer("none"), "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{mock}/v1",
    }  # fmt: skip
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    return Contender("Portkey", [node, str(script), f"--port={port}", "--headless"], port, headers, environment, 60)


ALL: tuple[Callable[[Path, int], Contender], ...] = (nginx, ours, sglang_router, vllm_router, portkey, litellm)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _router(port: int, mock: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())]
    return ["--worker-urls", f"http://127.0.0.1:{mock}", "--policy", "round_robin", *where, "--log-level", "error"]


def _environment(name: str, requirement: str) -> Path:
    """The bin folder of an environment with this package. One that was copied from elsewhere is made anew: its scripts
    still name the Python there."""
    place = LAB / name
    done, made = place / "done", f"{requirement} in {place}"
    if not done.exists() or done.read_text() != made:
        place.parent.mkdir(parents=True, exist_ok=True)
        uv = str(BINARIES / "uv")
        _install(name, [uv, "venv", "-q", "--clear", "--python", "3.11", str(place)])
        _install(name, [uv, "pip", "install", "-q", "--python", str(place / "bin" / "python"), requirement])
        done.write_text(made)
    return place / "bin"


def _install(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{name}: can't be installed here: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(f"{name}: can't be installed here: {last[:150]}")
