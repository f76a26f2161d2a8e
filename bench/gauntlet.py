"""The Gauntlet's runner beside a bare asyncio client and Inspect: one mock, with 1, 64 and 256 requests at once.

    python -m bench.gauntlet

The mock answers after 20 ms. The bare client posts, reads and parses, and keeps nothing; the runner also grades each
answer and writes it down, synced several times a second; Inspect does the same in its way, on a tenth of the samples.
The bare client fills one core from some thousand requests a second on; what the runner does beside them then shows in
its rate. Processor time per sample stands beside it: it hangs least on the machine's other work. The last lines: memory
of the runner, with few samples and with many.
"""

import asyncio
import json
import multiprocessing
import multiprocessing.connection
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from gauntlet import loop
from gauntlet.runfiles import Run, read_run
from gauntlet.runner import run_shard
from gauntlet.runs import prepare

ANSWER_S = 0.02
SIZES = ((1, 150), (64, 6000), (256, 12_000))  # (requests at once, samples)
ROUNDS = 3  # of the bare client and the runner, in turns; the best of each counts, for others use the machine too
MANY = (1000, 10_000, 100_000)
TOOLS = Path(__file__).parents[1] / ".venv-tools" / "bin" / "python"
QUESTION = "What is 17 plus 25?"


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        names = "".join(f"{name:>17}" for name in ("bare client", "runner", "Inspect"))
        print(f"at once{names}   of the bare client   processor ms a sample")
        for at_once, samples in SIZES:
            asyncio.run(_bare(url, at_once, 2 * at_once))  # both find a warm server
            rounds = [
                (_measure(lambda n=at_once, m=samples: _bare(url, n, m)), _runner(url, at_once, samples))
                for _ in range(ROUNDS)
            ]
            found = [tuple(map(min, zip(*spent, strict=True))) for spent in zip(*rounds, strict=True)]
            counts = [samples, samples]
            if TOOLS.exists():
                found.append(_inspect(url, at_once, max(samples // 10, at_once)))
                counts.append(max(samples // 10, at_once))
            rates = [count / wall for count, (wall, _) in zip(counts, found, strict=True)]
            shares = " ".join(f"{rate / rates[0]:7.0%}" for rate in rates[1:])
            costs = ", ".join(f"{cpu / count * 1000:.2f}" for count, (_, cpu) in zip(counts, found, strict=True))
            said = "".join(f"{rate:8.0f} a second" for rate in rates)
            print(f"{at_once:7}{said}   {shares}      {costs}", flush=True)
        for samples in MANY:
            alone = [sys.executable, "-m", "bench.gauntlet_memory", url, str(samples)]
            peak = subprocess.run(alone, stdout=subprocess.PIPE, check=True, text=True).stdout
            print(f"memory of the runner with {samples:7,} samples: {float(peak):.0f} MB at most", flush=True)
    finally:
        server.kill()
        server.join()
    if not TOOLS.exists():
        print("Inspect is not here: python3 -m lab.setup --only tools")


def _inspect(url: str, at_once: int, samples: int) -> tuple[float, float]:
    command = [TOOLS, Path(__file__).with_name("gauntlet_inspect.py"), url, str(at_once), str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, cpu = done.stdout.split()[-2:]
    return float(wall), float(cpu)


def _measure(work: Callable[[], Awaitable[None]], run: Callable = asyncio.run) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run(work())
    return time.perf_counter() - wall, time.process_time() - cpu


async def _bare(url: str, at_once: int, samples: int) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 512, "temperature": 0.0}
    left = iter(range(samples))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    assert json.loads(await response.read())["choices"][0]["message"]["content"]

        await asyncio.gather(*(work() for _ in range(at_once)))


def _runner(url: str, at_once: int, samples: int) -> tuple[float, float]:
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    try:
        run = prepared(url, at_once, samples, folder)
        spent = _measure(lambda: run_shard(run, folder / "run", 0, ""), loop.run)
        _, *lines = (folder / "run" / "shard-0.jsonl").read_text().splitlines()
        kept = sum(json.loads(line)["grade"] == "pass" for line in lines)
        assert kept == samples, f"{kept} of {samples} samples are there"
        return spent
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepared(url: str, at_once: int, samples: int, folder: Path | str) -> Run:
    """A run of so many sums in folder/run."""
    folder = Path(folder)
    home = folder / "suites" / "sums"
    home.mkdir(parents=True)
    (home / "suite.toml").write_text('title = "Sums"\npass_rate = 0.5\n')
    case = {"prompt": QUESTION, "checks": ["numeric"], "expected": "42"}
    (home / "cases.jsonl").write_text("".join(json.dumps({"id": f"s{n}", **case}) + "\n" for n in range(samples)))
    (folder / "key").touch(0o600)
    prepare(
        folder / "run", suites=folder / "suites", shards=1, base_url=url, model="m", key_file=folder / "key",
        concurrency=at_once, subject={},
    )  # fmt: skip
    return read_run(folder / "run")


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is 42."}}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}  # Inspect wants all of it
    answer = json.dumps({**head, "choices": [choice], "usage": usage}).encode()

    async def chat(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(ANSWER_S)
        return web.Response(body=answer, content_type="application/json")

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
