"""An ASGI app on 127.0.0.1 and nowhere else, in a thread of this process.

The port is bound before the thread starts, so `url` is right at once and port 0 means "any free one".
"""

import socket
import threading
import time
from typing import Self

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
START_TIMEOUT = 10.0
"""Seconds an app may take to accept its first connection."""
STOP_TIMEOUT = 1
"""Seconds an unfinished answer gets at stop(); a hang we injected ourselves never finishes."""


def listen(port: int = 0) -> socket.socket:
    """A listening TCP socket on 127.0.0.1; OSError when the port is taken."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
        bound.listen(512)
    except OSError:
        bound.close()
        raise
    return bound


class Loopback:
    """Serve `app` until stop(). After stop() the same object may start again, on the same port."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self.app = app
        self._socket: socket.socket | None = listen(port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Return when connections are answered; RuntimeError when that takes too long."""
        if self._thread is not None:
            return self
        if self._socket is None:
            self._socket = listen(self.port)
        config = uvicorn.Config(
            self.app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=STOP_TIMEOUT
        )
        server, bound = uvicorn.Server(config), self._socket
        self._server = server
        self._thread = threading.Thread(
            target=lambda: server.run(sockets=[bound]), name=f"loopback-{self.port}", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"nothing answers on {self.url} after {START_TIMEOUT:g} s")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Close the port and every connection. Idempotent."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(START_TIMEOUT)
        self._server = self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
