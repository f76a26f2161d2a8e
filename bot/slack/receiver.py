"""Slack by HTTP instead of Socket Mode: its requests, each with a signature that is checked, each taken once.

For hosts that Slack can reach (behind the site's own HTTPS proxy). The path is /slack/events for everything. Bolt
checks the signature and refuses what is older than five minutes; what is younger and comes a second time, byte for
byte, was recorded by somebody and is not done again.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.adapter.asgi import SlackRequestHandler

from bot.slack.manifest import PATH
from lifecycle.errors import BadSettings, ChatUnavailable

MOST_BYTES = 2**20
REMEMBER_S = 600
"""Longer than a signature is good for."""
START_S = 15


class Once:
    """A Bolt middleware: a request whose signature was seen is answered, and nothing more. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:
        signature = (req.headers.get("x-slack-signature") or [""])[0]
        return next() if self.first(signature) else BoltResponse(status=200, body="")

    def first(self, signature: str) -> bool:
        now = self._clock()
        with self._lock:
            for old in [s for s, at in self._seen.items() if now - at > REMEMBER_S]:
                del self._seen[old]
            known = signature in self._seen
            self._seen[signature] = now
        return not known


class Small:
    """Before anything is read: only POST, and only bodies of a length that is said and sensible."""

    def __init__(self, inner: Callable):
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self._inner(scope, receive, send)
        said = dict(scope["headers"]).get(b"content-length", b"")
        status = 405 if scope["method"] != "POST" else 411 if not said.isdigit() else 0
        status = status or (413 if int(said) > MOST_BYTES else 0)
        if not status:
            return await self._inner(scope, receive, send)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


class Receiver:
    """Listens at `listen` (host:port; port 0 takes a free one) in a thread of its own, until `close()`."""

    def __init__(self, app: App, listen: str):
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit():
            raise BadSettings(f"slack.listen is {listen!r}.", "Give host:port, such as 127.0.0.1:3000.")
        app.use(Once())
        handler = Small(SlackRequestHandler(app, path=PATH))
        config = uvicorn.Config(
            handler, host=host.strip("[]"), port=int(port), lifespan="off", ws="none", access_log=False,
            log_config=None, timeout_graceful_shutdown=3,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="slack-http", daemon=True)
        self.port = int(port)

    def connect(self) -> None:
        """Returns when it listens. ChatUnavailable: the port is taken; again later."""
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ChatUnavailable("slack.listen can't be listened at: is the port taken?")
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def _run(self) -> None:
        with contextlib.suppress(SystemExit):  # uvicorn's word for a port that is taken
            self._server.run()

    def close(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(10)
