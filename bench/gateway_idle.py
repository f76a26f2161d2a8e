"""Ten thousand streams that say nothing, on one worker: what they hold in memory. BENCH_STREAMS: another number."""

import asyncio
import contextlib
import os
import resource
import shutil
import tempfile
from pathlib import Path

from bench._contenders import ours
from bench._machine import rss, running
from bench.gateway import PATH, _answers

STREAMS = int(os.environ.get("BENCH_STREAMS", "10000"))
AT_ONCE = 200
PATIENCE_S = 300
EVENT = b'data: {"id":"x","model":"/weights/x","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = STREAM + b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
BODY = b'{"model":"org/model","stream":true,"messages":[{"role":"user","content":"Wait."}]}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"choices": []}'


class Backend(asyncio.Protocol):
    """Begins each stream and then says nothing; anything else gets a small answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(FIRST if b'"stream":true' in data else WHOLE)


class Caller(asyncio.Protocol):
    def __init__(self, request: bytes, begun: asyncio.Future):
        self._request = request
        self._begun = begun

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if b'"content":"a"' in data and not self._begun.done():
            self._begun.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._begun.done():
            self._begun.set_exception(error or ConnectionResetError("refused"))


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # root may have more; the gateway inherits it
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted := 2 * STREAMS + 1000, max(most, wanted)))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    streams = min(STREAMS, (most - 200) // 2)
    if streams < STREAMS:
        print(f"only {streams} streams: the hard limit of open files here is {most}")
    folder = Path(tempfile.mkdtemp(prefix="dz-bench-"))
    try:
        asyncio.run(asyncio.wait_for(_measure(folder, streams), PATIENCE_S))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(folder: Path, streams: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Backend, "127.0.0.1", 0, backlog=4096)
    who = ours(folder, server.sockets[0].getsockname()[1])
    file = folder / "dayzero.toml"
    file.write_text(file.read_text() + f"[gateway.queue]\nper_server = {streams + 10}\n")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {who.headers['Authorization']}\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    with running(who.command, who.port, min(os.sched_getaffinity(0)), patience_s=who.patience_s) as process:
        while not await asyncio.to_thread(_answers, who):
            await asyncio.sleep(0.05)
        before = rss(process.pid)
        held = []
        for begin in range(0, streams, AT_ONCE):
            begun = [loop.create_future() for _ in range(min(AT_ONCE, streams - begin))]
            for future in begun:
                held.append(await loop.create_connection(lambda f=future: Caller(request, f), "127.0.0.1", who.port))
            await asyncio.gather(*begun)
        after = rss(process.pid)
        each = (after - before) / streams / 1024
        print(f"{streams} streams on one worker: {before >> 20} MB before, {after >> 20} MB then, {each:.1f} KB each")
        for transport, _ in held:
            transport.abort()
    server.close()


if __name__ == "__main__":
    main()
