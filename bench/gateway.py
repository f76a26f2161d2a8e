"""The gateway with keys, limits, routing and ledger on, beside what else one could put there.

nginx as a plain reverse proxy, LiteLLM's proxy, Portkey, and the Rust routers of SGLang and vLLM. One contender at a
time on one core, the load (wrk) and a mock backend in C on another; a prompt of 1 KB, an answer of 500 bytes, streams
of 64 events without delay. CPU time per request is the steadiest figure; the others are as noisy as the machine.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench._contenders import ALL, Contender, Missing
from bench._machine import cpu_s, free_port, rss, running
from gateway import usage

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ONLY = set(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
PATH = "/v1/chat/completions"
CORES = sorted(os.sched_getaffinity(0))
UNDER_TEST, LOAD = CORES[0], CORES[-1]

COLUMNS = "req/s c=32,req/s c=128,CPU ms/req,streams/s,CPU ms/stream,p50 ms,p99 ms,RSS MB,start s".split(",")

WRK = """wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass
class Figures:
    """Rates per second, CPU and latency in ms, memory in MB, start in s; NaN: not measured."""

    rate: float
    rate_128: float
    cpu: float
    streams: float
    stream_cpu: float
    p50: float
    p99: float
    rss: float = float("nan")
    start: float = float("nan")

    def row(self) -> str:
        patterns = ("{:,.0f}", "{:,.0f}", "{:.3f}", "{:,.0f}", "{:.3f}", "{:.2f}", "{:.2f}", "{:.0f}", "{:.2f}")
        cells = (p.format(v) for p, v in zip(patterns, vars(self).values(), strict=True))
        return " | ".join("–" if cell == "nan" else cell for cell in cells)


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
    binary, mock = folder / "mock", free_port()
    subprocess.run(["gcc", "-O2", "-o", str(binary), str(HERE / "gateway_mock.c")], check=True)
    print("| gateway | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    seen: dict[str, Figures] = {}
    with running([str(binary), str(mock)], mock, LOAD):
        for make in (lambda *_: Contender("direct", None, mock), *(m for m in ALL if not ONLY or m.__name__ in ONLY)):
            try:
                contender = make(folder, mock)
                seen[contender.name] = _measure(folder, contender)
                print(f"| {contender.name} | {seen[contender.name].row()} |", flush=True)
            except Missing as missing:
                print(f"| {missing} |" + " |" * len(COLUMNS), flush=True)
    print("\np50, p99: one caller, 50 requests a second; streams of 64 chunks, c=32; RSS after the load")
    _judge(seen)
    if (path := folder / "state" / "gateway.db").exists():
        left = usage.rows(path, 1)[0]
        print(f"dayzero's ledger afterwards: {left['id']} rows")


def _judge(seen: dict[str, Figures]) -> None:
    if (we := seen.get("dayzero")) is None:
        return
    if (them := seen.get("LiteLLM proxy")) is not None:
        requests, streams = _times(we.rate, them.rate), _times(we.streams, them.streams)
        print(f"against LiteLLM's proxy: {requests} requests, {streams} streams")
    rust = [figures for name, figures in seen.items() if name.endswith("-router")]
    if rust:
        rate, streams = max(r.rate for r in rust), max(r.streams for r in rust)
        print(f"against the best Rust router: {_times(we.rate, rate)} requests, {_times(we.streams, streams)} streams")
    if (them := seen.get("nginx")) is not None:
        direct = seen["direct"].p50
        print(
            f"against nginx: {_times(we.cpu, them.cpu)} CPU a request, {_times(we.stream_cpu, them.stream_cpu)} CPU a"
            f" stream; p50 added {we.p50 - direct:.2f} ms, nginx {them.p50 - direct:.2f} ms"
        )


def _times(one: float, other: float) -> str:
    return f"{one / other:.1f} ×" if other > 0 else "(no answer to compare with) ×"


def _measure(folder: Path, who: Contender) -> Figures:
    if who.command is None:
        rates = [_load(folder, who, c, False)[0] for c in (32, 128)]
        return Figures(*rates, float("nan"), _load(folder, who, 32, True)[0], float("nan"), *_latency(who))
    began = time.monotonic()
    with running(who.command, who.port, UNDER_TEST, who.environment, who.patience_s) as process:
        while not _answers(who):
            if (status := process.poll()) is not None:
                raise Missing(f"{who.name}: ended with status {status} before it answered")
            if time.monotonic() - began > who.patience_s:
                raise Missing(f"{who.name}: did not answer within {who.patience_s:g} s here")
            time.sleep(0.01)
        started = time.monotonic() - began
        _load(folder, who, 32, False, 1)
        latency = _latency(who)
        rates, cpus = zip(*(_load(folder, who, c, False, pid=process.pid) for c in (32, 128)), strict=True)
        streams, stream_cpu = _load(folder, who, 32, True, pid=process.pid)
        return Figures(*rates, min(cpus), streams, stream_cpu, *latency, rss(process.pid) / 2**20, started)


def _load(
    folder: Path, who: Contender, connections: int, stream: bool, seconds: float = SECONDS, pid: int | None = None
) -> tuple[float, float]:
    """(answers a second, CPU milliseconds of the contender's processes for each)."""
    script = folder / "load.lua"
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in who.headers.items())
    script.write_text(WRK.format(body=_body(stream), headers=headers))
    address = f"http://127.0.0.1:{who.port}{PATH}"
    before = cpu_s(pid)
    load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script), address]
    said = subprocess.run(["taskset", "-c", str(LOAD), *load], capture_output=True, text=True, check=True).stdout
    requests, microseconds, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", said).groups())
    if errors:
        print(f"{who.name}: {errors} errors of {requests}", flush=True)
    if errors >= requests:  # an error is no answer, however fast it comes
        return float("nan"), float("nan")
    return requests / microseconds * 1e6, (cpu_s(pid) - before) / max(requests, 1) * 1000


def _latency(who: Contender, rate: float = 50.0) -> tuple[float, float]:
    """p50 and p99 in ms of requests at low load, over one connection."""
    request, found = _request(who), []
    with socket.create_connection(("127.0.0.1", who.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.monotonic()
        for _ in range(int(rate * SECONDS)):
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            connection.sendall(request)
            if not _read_answer(connection):
                return float("nan"), float("nan")
            found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found), statistics.quantiles(found, n=100)[98]


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
    more = "".join(f"{name}: {value}\r\n" for name, value in who.headers.items())
    more += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode() + body


def _body(stream: bool) -> str:
    body = {"model": "org/model", "messages": [{"role": "user", "content": "lorem ipsum " * 80}], "stream": stream}
    return json.dumps(body, separators=(",", ":"))


if __name__ == "__main__":
    main()
