"""A stand-in as a process of its own: say where it listens, then wait for SIGINT or SIGTERM."""

import signal
import threading
from pathlib import Path

from lab.loopback.ports import write_port_file


def wait_for_the_end(what: str, url: str, port_file: Path | None, *ports: int) -> None:
    """Print the address, write the ports if asked to, and return at the first signal to stop."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    if port_file:
        write_port_file(port_file, *ports)
    print(f"{what} on {url}", flush=True)
    over.wait()
