"""An aiohttp application of the lab that is shut at the worst of moments leaves no connection open behind it."""

import asyncio
import gc
import socket
import warnings

import pytest
from aiohttp import web

from lab.loopback.application import TURNS, Application
from lab.loopback.server import LOOPBACK, listen


async def _shut_after(turns: int) -> None:
    served = Application(web.Application(), listen(), shutdown_timeout=0.1)
    await served.open()
    with socket.create_connection((LOOPBACK, served.port)):
        for _ in range(turns):
            await asyncio.sleep(0)
        await served.shut()


@pytest.mark.parametrize("turns", range(TURNS + 1))
def test_a_connection_being_accepted_is_not_forgotten(turns: int) -> None:
    """However far a connection has come when its server shuts, it is closed with it, not by the garbage collector."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_shut_after(turns))
        gc.collect()
    assert [str(one.message) for one in complaints] == []
