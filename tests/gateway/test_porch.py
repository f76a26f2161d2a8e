"""Who is too slow is sent away. The clock is turned by hand: a door's deadline is put into the past."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.door import Door
from gateway.porch import Porch
from gateway.reply import HttpReply
from gateway.request import Request

PATIENCE_S = 10


class House:
    """Answers with 8 MB, more than any socket holds."""

    def admit(self, request: Request) -> None:
        pass

    async def answer(self, request: Request, reply: HttpReply) -> None:
        await reply.start(200, b"text/plain")
        for _ in range(128):
            await reply.write(b"x" * 2**16)
        await reply.end(b"")


Story = Callable[[Porch, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def tell(story: Story) -> None:
    async def run() -> None:
        porch = Porch(House())
        server = await asyncio.get_running_loop().create_server(porch.door, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(porch, reader, writer)
        finally:
            writer.close()
            server.close()
            porch.close()
            await porch.drained(1)
        assert not porch.doors

    asyncio.run(run())


async def met(porch: Porch, ready: Callable[[Door], bool]) -> Door:
    while not porch.doors or not ready(next(iter(porch.doors))):
        await asyncio.sleep(0.005)
    return next(iter(porch.doors))


def test_a_request_that_dribbles_in_is_a_408() -> None:
    """Head or body: what was begun and does not come is answered, and the connection ends."""

    async def story(porch: Porch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345")
        door = await met(porch, lambda door: door._request is not None)
        assert 0 < door.deadline - porch.loop.time() < 120
        door.deadline = 0.0
        porch.sweep()
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    tell(story)


def test_an_idle_connection_ends_in_silence() -> None:
    """No request, no answer: it is just closed."""

    async def story(porch: Porch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = await met(porch, lambda door: door.deadline < 1e9)
        door.deadline = 0.0
        porch.sweep()
        assert await reader.read() == b""

    tell(story)


def test_who_does_not_read_is_given_up() -> None:
    """A caller whose buffers are full for too long is cut off, and the answer's task with him."""

    async def story(porch: Porch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()
        writer.write(b"GET /x HTTP/1.1\r\n\r\n")
        door = await met(porch, lambda door: door.full is not None)
        task = door.active
        assert 0 < door.deadline - porch.loop.time() < 600
        door.deadline = 0.0
        porch.sweep()
        while not task.done():
            await asyncio.sleep(0.005)
        assert not porch.doors

    tell(story)


def test_closing_time_ends_idle_connections_and_lets_answers_end() -> None:
    """Who is being answered gets everything, and `connection: close`; who only waits is let go."""

    async def story(porch: Porch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /x HTTP/1.1\r\n\r\n")
        await met(porch, lambda door: door.active is not None)
        porch.close()
        said = await reader.read()
        assert said.count(b"x" * 2**16) == 128 and said.endswith(b"0\r\n\r\n")

    tell(story)
