"""Run a workspace: in a thread of this process (`Workspace`), or for the command line (`serve`)."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from pathlib import Path

from lab.loopback.application import Application
from lab.slack import requests_out
from lab.slack.app import make_app
from lab.slack.control import Control
from lab.slack.person import Person
from lab.slack.seed import Seed
from lab.slack.sockets import Sockets
from lab.slack.store import Store
from lab.slack.team import Team

START_WITHIN = 15.0


class Workspace:
    """A Slack workspace on loopback.

        with Workspace(folder=tmp_path) as slack:
            app = App(client=WebClient(slack.bot_token, base_url=slack.api_url))
            SocketModeHandler(app, slack.app_token).connect()
            slack.person("alice").command("/status")

    With `folder`, messages, channels, files and home tabs outlive `stop()` (and a kill). `start()` after `stop()`
    takes the same port again. `control` switches faults and reads the request log.
    """

    def __init__(
        self, folder: Path | str | None = None, *, port: int = 0, host: str = "127.0.0.1", seed: Seed | None = None
    ):
        self.folder = Path(folder) if folder is not None else None
        self.host = host
        self.port = port
        self.seed = seed or Seed()
        self.bot_token = self.seed.bot_token
        self.app_token = self.seed.app_token
        self.team: Team | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Where the page is, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """What slack_sdk wants as base_url, with a slash at the end."""
        return self.url + "/api/"

    @property
    def control(self) -> Control:
        return Control(self.url)

    def send_to(self, request_url: str) -> None:
        """HTTP mode from now on: commands, clicks and events go to this address, signed; the sockets are not asked."""
        assert self.team is not None and self.team.sockets is not None
        sockets, secret = self.team.sockets, self.seed.signing_secret
        sockets.by_http = partial(requests_out.ask, request_url, secret, within=sockets.ack_within)

    def person(self, name: str) -> Person:
        return Person(self.url, name)

    def start(self) -> "Workspace":
        """Return when the port answers; raises what kept it from starting."""
        started = threading.Event()
        failure: list[BaseException] = []

        def main() -> None:
            try:
                run(self._main(started))
            except BaseException as error:  # carried to the thread that waits for the start
                failure.append(error)
                started.set()

        self._thread = threading.Thread(target=main, name="lab-slack", daemon=True)
        self._thread.start()
        if not started.wait(START_WITHIN):
            raise TimeoutError(f"the lab's Slack did not start within {START_WITHIN:g} s")
        if failure:
            raise failure[0]
        return self

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with running(self):
            started.set()
            await self._stop.wait()

    def stop(self) -> None:
        if self._thread and self._thread.is_alive() and self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_WITHIN)
        self._thread = None

    def __enter__(self) -> "Workspace":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(main: Coroutine) -> None:
    """asyncio.run on asyncio's own loop, whatever policy the process has: Application shuts its listener by hand."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main)


@contextlib.asynccontextmanager
async def running(space: Workspace) -> AsyncIterator[Team]:
    """The workspace's server, open inside the `async with`."""
    listener = listen(space.host, space.port)
    space.port = listener.getsockname()[1]
    store = Store(space.folder)
    team = space.team = Team(space.seed, store, space.url)
    team.sockets = Sockets(
        space.seed.ack_within, space.seed.retry_delays, changed=lambda count: team.feed.tell("sockets", count=count)
    )
    served = Application(make_app(team), listener, access_log=None, shutdown_timeout=1.0)
    await served.open()
    try:
        yield team
    finally:
        await served.shut_the_door()
        team.feed.tell("stop")
        await team.sockets.stop()
        await served.shut()
        store.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one, and a port just left can be taken again at once."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as taken:
        listener.close()
        raise OSError(f"port {port} of {host} is taken; choose another or 0 for a free one") from taken
    listener.listen(128)
    return listener
