"""Where the daemons listen: on loopback, on free ports, so that several clusters can live side by side."""

import random
import socket
from dataclasses import dataclass

BELOW_EPHEMERAL = range(20000, 32000)
"""Linux hands out 32768 and up to outgoing connections, and would take one of ours between choosing and using it."""


def free_ports(count: int) -> list[int]:
    """`count` ports that nobody listens on now; starts at a random place so that clusters don't meet."""
    candidates = list(BELOW_EPHEMERAL)
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            found.append(port)
    return found


@dataclass(frozen=True)
class Listen:
    """The address all daemons are reached at; `only_there`: they can be made to listen on nothing else."""

    address: str
    only_there: bool


def listen() -> Listen:
    """Loopback. Slurm's NoInAddrAny binds to what the machine's own name means, so that has to mean loopback.

    Where it doesn't (in many containers), the daemons listen everywhere, are reached at 127.0.0.1, and munge's key
    keeps strangers out.
    """
    try:
        own = socket.gethostbyname(socket.gethostname())
    except OSError:
        own = ""
    return Listen(own, True) if own.startswith("127.") else Listen("127.0.0.1", False)
