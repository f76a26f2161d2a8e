"""The gateway with keys, routing and ledger on, beside nginx as a plain reverse proxy and LiteLLM's proxy.

One contender at a time on one core, the load (wrk) and a mock backend in C on another; a prompt of 1 KB, an answer of
500 bytes, streams of 64 events without delay. CPU time per request is the steadiest figure; the others are as noisy as
the machine. What can't be started here is left out, with a sentence.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.ledger.reports import totals
from gateway.store import open_store
from tests.gateway.world import Ledger, configure, new_key

HERE = Path(__file__).parent
ROOT = HERE.parent
BINARIES = Path(sys.executable).parent
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
PATH = "/v1/chat/completions"
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
UNDER_TEST, LOAD = CORES[0], CORES[-1]

COLUMNS = "req/s c=32,req/s c=128,CPU ms/req,streams/s,CPU ms/stream,p50 ms,p99 ms,RSS MB,start s".split(",")

WRK = """wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

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
general_settings: {{master_key: {key}}}
"""


@dataclass
class Contender:
    name: str
    command: list[str] | None  # None: no gateway at all
    port: int
    key: str = "none"
    environment: dict[str, str] = field(default_factory=dict)
    patience_s: float = 20.0


def main() -> None:
    if missing := [tool for tool in ("wrk", "gcc", "taskset") if shutil.which(tool) is None]:
        print(f"skipped: needs {', '.join(missing)} (Debian: apt-get install wrk gcc util-linux)")
        return
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    try:
        _compare(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(folder: Path) -> None:
    binary, mock = folder / "mock", _free_port()
    subprocess.run(["gcc", "-O2", "-o", str(binary), str(HERE / "gateway_mock.c")], check=True)
    print("| gateway | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    with _running([str(binary), str(mock)], mock, LOAD):
        direct = Contender("direct", None, mock)
        for contender in (direct, _nginx(folder, mock), _ours(folder, mock), _litellm(folder, mock)):
            if isinstance(contender, str):
                print(contender)
            else:
                cells = _measure(folder, contender)
                print(f"| {contender.name} | " + " | ".join(cells) + " |", flush=True)
    left = totals(folder / "state" / "gateway.db")[0]
    print(f"dayzero's ledger afterwards: {left['requests']} rows, {left['completion_tokens']} tokens")
    print("p50, p99: one caller, 50 requests a second; streams of 64 chunks, c=32; RSS after the load")


def _ours(folder: Path, mock: int) -> Contender:
    port = _free_port()
    settings = configure(folder)
    file = folder / "dayzero.toml"
    file.write_text(file.read_text().replace("port = 0", f"port = {port}"))
    ledger = Ledger(settings.ledger_path)
    ledger.deploy("one", "org/model")
    ledger.serve("one", f"http://127.0.0.1:{mock}", "/weights/x")
    ledger.close()
    open_store(settings.gateway_path).close()
    command = [sys.executable, "-m", "gateway", "--config", str(file)]
    return Contender("dayzero", command, port, new_key(settings, "stable"))


def _nginx(folder: Path, mock: int) -> Contender | str:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        return "nginx: not installed here (Debian: apt-get install nginx-light)"
    port, file = _free_port(), folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, mock=mock, port=port))
    return Contender("nginx", [binary, "-c", str(file), "-p", str(folder)], port)


def _litellm(folder: Path, mock: int) -> Contender | str:
    binary = BINARIES / "litellm"
    port, file = _free_port(), folder / "litellm.yaml"
    file.write_text(LITELLM.format(mock=mock, key="sk-bench"))
    if not binary.exists():
        return "LiteLLM's proxy: not installed here"
    command = [str(BINARIES / "python"), "-c", "import litellm.proxy.proxy_server"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        return f"LiteLLM's proxy can't start here: {tried.stderr.strip().splitlines()[-1][:120]}"
    command = [str(binary), "--config", str(file), "--port", str(port), "--host", "127.0.0.1"]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Contender("LiteLLM proxy", command, port, "sk-bench", environment, 90)


def _measure(folder: Path, who: Contender) -> list[str]:
    if who.command is None:
        return [f"{_load(folder, who, c, False)[0]:,.0f}" for c in (32, 128)] + ["–"] + [
            f"{_load(folder, who, 32, True)[0]:,.0f}", "–", *_latency(who), "–", "–"
        ]
    began = time.monotonic()
    with _running(who.command, who.port, UNDER_TEST, who.environment, who.patience_s) as process:
        while not _answers(who) and time.monotonic() - began < who.patience_s:
            time.sleep(0.01)
        started = time.monotonic() - began
        _load(folder, who, 32, False, 1)
        latency = _latency(who)
        rates, cpus = zip(*(_load(folder, who, c, False, pid=process.pid) for c in (32, 128)), strict=True)
        streams, stream_cpu = _load(folder, who, 32, True, pid=process.pid)
        rss = sum(_rss(pid) for pid in _family(process.pid))
        return [
            *(f"{rate:,.0f}" for rate in rates), f"{min(cpus):.3f}", f"{streams:,.0f}", f"{stream_cpu:.3f}", *latency,
            f"{rss / 2**20:.0f}", f"{started:.2f}",
        ]  # fmt: skip


def _load(
    folder: Path, who: Contender, connections: int, stream: bool, seconds: float = SECONDS, pid: int | None = None
) -> tuple[float, float]:
    """(answers a second, CPU milliseconds of the contender's processes for each)."""
    script = folder / "load.lua"
    script.write_text(WRK.format(body=_body(stream), key=who.key))
    address = f"http://127.0.0.1:{who.port}{PATH}"
    before = _cpu_s(pid)
    load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), address]
    said = subprocess.run(["taskset", "-c", str(LOAD), *load], capture_output=True, text=True, check=True).stdout
    requests, microseconds, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", said).groups())
    if errors:
        print(f"{who.name}: {errors} errors of {requests}", flush=True)
    return requests / microseconds * 1e6, (_cpu_s(pid) - before) / max(requests, 1) * 1000


def _latency(who: Contender, rate: float = 50.0) -> list[str]:
    """p50 and p99 in ms of requests at low load, over one connection."""
    request, found = _request(who), []
    with socket.create_connection(("127.0.0.1", who.port)) as connection:
        due = time.monotonic()
        for _ in range(int(rate * SECONDS)):
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            connection.sendall(request)
            if not _read_answer(connection):
                return ["–", "–"]
            found.append((time.perf_counter() - began) * 1000)
    return [f"{statistics.median(found):.2f}", f"{statistics.quantiles(found, n=100)[98]:.2f}"]


def _read_answer(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while len(body) < int(length[1]) if length else not body.endswith(b"0\r\n\r\n"):
        if not (more := connection.recv(65536)):
            return False
        body += more
    return head.startswith(b"HTTP/1.1 200")


def _answers(who: Contender) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", who.port), timeout=5) as connection:
            connection.sendall(_request(who))
            return _read_answer(connection)
    except OSError:
        return False


def _request(who: Contender) -> bytes:
    body = _body(False).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {who.key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _body(stream: bool) -> str:
    body = {"model": "org/model", "messages": [{"role": "user", "content": "lorem ipsum " * 80}], "stream": stream}
    return json.dumps(body, separators=(",", ":"))


@contextmanager
def _running(
    command: list[str], port: int, core: int, environment: dict[str, str] | None = None, patience_s: float = 10.0
) -> Iterator[subprocess.Popen]:
    """The process, on one core, from when its port is open."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], cwd=ROOT, env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def _cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    total = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def _rss(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
