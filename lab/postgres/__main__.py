"""`python -m lab.postgres up|down --dir FOLDER`: a private Postgres; `up` prints its address for [gateway]."""

import argparse
import sys
from pathlib import Path

from lab.postgres.server import PostgresLabError, Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.postgres", description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--dir", type=Path, default=Path(".lab/postgres"), help="its folder (.lab/postgres)")
    options = parser.parse_args()
    server = Server(options.dir.resolve())
    try:
        if options.what == "up":
            server.start()
            print(server.url)
        else:
            server.stop()
    except PostgresLabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
