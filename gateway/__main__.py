"""`python -m gateway --config dayzero.toml`: start and stop, nothing else."""

import argparse
import socket
import sys
from collections.abc import Callable

from gateway.log import say
from gateway.supervisor import supervise
from gateway.worker import work
from lifecycle.errors import BadSettings
from lifecycle.settings import Settings, load

# A caller that vanished without a word (half-open) is noticed after KEEPALIVE seconds of idleness, or when what we sent
# was not acknowledged for UNHEARD_MS. Accepted connections inherit both.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
UNHEARD_MS = 60_000


def serve(settings: Settings, reload: Callable[[], Settings] | None = None) -> int:
    """Run the gateway until SIGTERM; the exit status. `reload` reads the settings again, for SIGHUP."""
    host, port, workers = settings.gateway.host, settings.gateway.port, settings.gateway.workers
    try:
        first = _listen(host, port)
        host, port = first.getsockname()[:2]
        if workers > 1:  # taken without SO_REUSEPORT first: two gateways on one port would share its callers unawares
            first.close()
            sockets = [_listen(host, port, shared=True) for _ in range(workers)]
        admin = _listen_admin(settings)
    except OSError as error:
        sentence = f"The gateway can't listen on {host}:{port}: {error.strerror}. Change [gateway] host or port."
        print(sentence, file=sys.stderr)
        return 1
    say("listening", host=host, port=port)
    if workers > 1:
        return supervise(settings, sockets, reload or (lambda: settings), admin)
    return work(settings, first, admin=admin)


def _listen_admin(settings: Settings) -> socket.socket | None:
    """All workers accept from the one socket. OSError says in its `strerror` that it is the admin API's."""
    host, port = settings.gateway.admin_host, settings.gateway.admin_port
    if port is None:
        return None
    try:
        listening = _listen(host, port)
    except OSError as error:
        raise OSError(error.errno, f"its admin API has no {host}:{port}, {error.strerror}") from None
    say("listening.admin", host=host, port=listening.getsockname()[1])
    return listening


def _listen(host: str, port: int, shared: bool = False) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (*KEEPALIVE, (socket.TCP_USER_TIMEOUT, UNHEARD_MS), (socket.TCP_NODELAY, 1)):
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    return listening


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway", description="One address for every model.")
    parser.add_argument("--config", help="settings file (default: $DAYZERO_CONFIG, then dayzero.toml)")
    parser.add_argument("--workers", type=int, help="so many processes instead of gateway.workers")
    options = parser.parse_args()

    def read() -> Settings:
        settings = load(options.config)
        return with_changes(settings, workers=options.workers)

    try:
        settings = read()
    except BadSettings as error:
        print(error.advice, file=sys.stderr)
        return 2
    return serve(settings, read)


def with_changes(settings: Settings, **changes: object) -> Settings:
    """The settings with these keys of [gateway]; None: as it is."""
    wanted = {name: value for name, value in changes.items() if value is not None}
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update=wanted)})


if __name__ == "__main__":
    sys.exit(main())
