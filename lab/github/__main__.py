"""python -m lab.github [--port 0] [--state FILE] [--print-port-file FILE]: the lab's GitHub as a process."""

import argparse
from pathlib import Path

from lab.github.server import GitHub
from lab.loopback.process import wait_for_the_end


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.github", description="GitHub's releases on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (the default)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep releases here between runs")
    parser.add_argument("--print-port-file", type=Path, metavar="FILE", help="write the port here once it answers")
    asked = parser.parse_args()
    with GitHub(asked.port, state=asked.state) as github:
        wait_for_the_end("GitHub", github.url, asked.print_port_file, github.port)


if __name__ == "__main__":
    main()
