"""An ASGI app behind a door: for everything that is not worth a hot path."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from gateway.reply import HttpReply
from gateway.request import Request

App = Callable[..., Awaitable[None]]


async def run(app: App, request: Request, reply: HttpReply) -> None:
    """Let the app answer. Its task is cancelled when the caller goes away; `receive` never says so."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1" if request.modern else "1.0",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode("latin-1"),
        "query_string": request.query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": None,
        "server": None,
    }
    bodies = [bytes(request.body)]

    async def receive() -> dict:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            framing = (b"content-length", b"transfer-encoding", b"connection")
            lines = [b"%b: %b\r\n" % (n, v) for n, v in message.get("headers", ()) if n.lower() not in framing]
            reply.begin(message["status"], b"".join(lines))
        elif message.get("more_body"):
            await reply.write(message.get("body", b""))
        else:
            await reply.end(message.get("body", b""))

    await app(scope, receive, send)
