"""One worker: a process that answers on a listening socket until SIGTERM, then lets running answers end."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable

import uvloop

from gateway.front import Front
from gateway.gate import Gate
from gateway.log import flush, say
from gateway.porch import Porch
from lifecycle.settings import Settings

DRAIN_S = 30
"""How long running answers may go on after SIGTERM."""

ADMIN_DRAIN_S = 5
SWEEP_S = 1.0
BACKLOG = 4096

CANT_START = 3

FEW_FILES = 2 * 4096 + 200
"""Fewer than this deserve a warning: so many requests at a time, each with a caller's connection and a server's."""

GARBAGE = (10_000, 20, 20)
"""How many new objects make a round of the garbage collector worth its time: a request leaves it next to nothing."""


def work(
    settings: Settings,
    listening: socket.socket,
    ready: Callable[[], None] = lambda: None,
    admin: socket.socket | None = None,
) -> int:
    """Serve until SIGTERM; the exit status. `ready` is called when requests are taken; `admin`: the admin API's."""
    open_files()
    return uvloop.run(_work(settings, listening, ready, admin))


def open_files() -> int:
    """As many as this process may have; the log says so when that is few. A request takes two: 1024 are soon spent."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if 0 <= most < FEW_FILES:
        advice = "Raise the hard limit: LimitNOFILE=65536 in its systemd unit, or `ulimit -Hn` where it is started."
        say("files.few", limit=most, requests=most // 2, advice=advice)
    return most


async def _work(
    settings: Settings, listening: socket.socket, ready: Callable[[], None], admin: socket.socket | None
) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        gate = Gate(settings, os.environ)
    except Exception as error:  # whoever started it must hear why it can't
        print(f"The gateway can't start: {error}", file=sys.stderr)
        return CANT_START
    porch = Porch(Front(gate))
    server = await loop.create_server(porch.door, sock=listening, backlog=BACKLOG)
    sweeping = asyncio.create_task(_sweep(porch, gate))
    async with _administered(gate, admin):
        _keep_what_is_here()
        ready()
        await stop.wait()
    server.close()
    porch.close()
    await porch.drained(DRAIN_S)
    sweeping.cancel()
    await gate.close()
    flush()
    return 0


def _keep_what_is_here() -> None:
    """Modules, routes and keys stay: without this the collector walks through all of them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


@contextlib.asynccontextmanager
async def _administered(gate: Gate, admin: socket.socket | None) -> AsyncIterator[None]:
    """The admin API answers meanwhile. Every worker may: whoever takes the connection."""
    if admin is None:
        yield
        return
    from gateway.admin.house import AdminHouse

    house = AdminHouse(gate)
    porch = Porch(house)
    server = await asyncio.get_running_loop().create_server(porch.door, sock=admin)
    sweeping = asyncio.create_task(_sweep(porch, gate))
    try:
        yield
    finally:
        server.close()
        porch.close()
        await porch.drained(ADMIN_DRAIN_S)
        sweeping.cancel()
        house.close()


async def _sweep(porch: Porch, gate: Gate) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            porch.sweep()
            gate.pool.sweep()
        except Exception as error:  # without it nobody slow would ever be sent away again
            say("sweep.failed", kind=type(error).__name__, reason=str(error)[:300])
