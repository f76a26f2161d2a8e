"""The lab's trusted older model, on loopback.

    python -m lab.judge --port 0 --port-file FILE

The key that callers must show is read from LAB_JUDGE_KEY (none: no key is asked for).
"""

import argparse
import os
import socket
from pathlib import Path

import uvicorn

from lab.judge.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.judge", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port, once it is open")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=128)
    port = listener.getsockname()[1]
    if options.port_file:
        aside = options.port_file.with_name(f".{options.port_file.name}.{os.getpid()}")
        aside.write_text(f"{port}\n")
        aside.replace(options.port_file)
    print(f"The lab's judge is at http://127.0.0.1:{port}/v1", flush=True)
    config = uvicorn.Config(create_app(os.environ.get("LAB_JUDGE_KEY", "")), log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
