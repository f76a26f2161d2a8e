"""The event loop of the runner: uvloop where it is installed, which takes a third of the time of asyncio's own."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # no Linux, or a node with less on it
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
