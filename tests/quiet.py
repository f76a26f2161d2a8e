"""Bring an event loop to rest before it is closed: a connection just accepted would complain later, elsewhere."""

import asyncio

TURNS = 20  # of the loop: accepting takes three, giving up two


async def hang_up() -> None:
    """Abort every connection of the running loop, those too that are being accepted in this moment."""
    loop = asyncio.get_running_loop()
    for _ in range(TURNS):
        for transport in list(loop._transports.values()):
            transport.abort()
        await asyncio.sleep(0)
