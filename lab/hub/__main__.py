"""python -m lab.hub --root DIR [--port 0] [--print-port-file FILE]: the lab's Hub as a process."""

import argparse
from pathlib import Path

from lab.hub.server import Hub
from lab.loopback.process import wait_for_the_end


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.hub", description="A Hugging Face Hub on 127.0.0.1, over a folder.")
    parser.add_argument("--root", type=Path, required=True, help="the repositories: DIR/org/name/files")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (the default)")
    parser.add_argument("--print-port-file", type=Path, metavar="FILE", help="write the port here once it answers")
    parser.add_argument("--bytes-per-s", type=float, default=0, help="downloads share this width; 0 is unlimited")
    parser.add_argument("--quota", type=int, default=0, help="requests each caller has per window; 0 is no limit")
    parser.add_argument("--window", type=float, default=300, help="seconds")
    parser.add_argument("--cdn", action="store_true", help="redirect large files to http://localhost")
    asked = parser.parse_args()
    asked.root.mkdir(parents=True, exist_ok=True)
    hub = Hub(
        asked.root, asked.port, bytes_per_s=asked.bytes_per_s, quota=asked.quota, window=asked.window, cdn=asked.cdn
    )
    with hub:
        wait_for_the_end("Hub", hub.url, asked.print_port_file, hub.port)


if __name__ == "__main__":
    main()
