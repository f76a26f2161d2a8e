"""`python -m gateway --config dayzero.toml`: start and stop, nothing else."""

import argparse
import signal
import socket
import sys

import uvicorn

from gateway.app import create_app
from gateway.log import say
from lifecycle.errors import BadSettings
from lifecycle.settings import Settings, load

DRAIN_S = 30
"""How long running answers may go on after SIGTERM."""


def serve(settings: Settings) -> int:
    """Run the gateway until SIGTERM; the exit status."""
    host, port = settings.gateway.host, settings.gateway.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        sentence = f"The gateway can't listen on {host}:{port}: {error.strerror}. Change [gateway] host or port."
        print(sentence, file=sys.stderr)
        return 1
    host, port = listening.getsockname()[:2]
    say("listening", host=host, port=port)
    config = uvicorn.Config(
        create_app(settings),
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=4096,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again after a clean end: that end is a 0
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
    return 0 if server.started else 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway", description="One address for every model.")
    parser.add_argument("--config", help="settings file (default: $DAYZERO_CONFIG, then dayzero.toml)")
    try:
        settings = load(parser.parse_args().config)
    except BadSettings as error:
        print(error.advice, file=sys.stderr)
        return 2
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
