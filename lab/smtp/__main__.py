"""python -m lab.smtp --folder DIR [--port 0] [--http-port 0] [--print-port-file FILE]: the mail sink as a process."""

import argparse
from pathlib import Path

from lab.loopback.process import wait_for_the_end
from lab.loopback.server import Loopback
from lab.smtp.page import build_app
from lab.smtp.server import Sink


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.smtp", description="Accepts mail on 127.0.0.1 and shows it.")
    parser.add_argument("--folder", type=Path, required=True, help="where the .eml files go")
    parser.add_argument("--port", type=int, default=0, help="SMTP; 0 takes a free one (the default)")
    parser.add_argument("--http-port", type=int, default=0, help="the web page; 0 takes a free one (the default)")
    parser.add_argument("--starttls", action="store_true", help="require STARTTLS; trust DIR/certificate.pem")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD", help="require AUTH")
    parser.add_argument(
        "--print-port-file", type=Path, metavar="FILE", help="write the SMTP port and the page's port here, a line each"
    )
    asked = parser.parse_args()
    if wrong := [user for user in asked.user if ":" not in user]:
        parser.error(f"--user takes NAME:PASSWORD, not {', '.join(wrong)}")
    users = dict(user.split(":", 1) for user in asked.user)
    sink = Sink(asked.folder, asked.port, starttls=asked.starttls, users=users)
    with sink, Loopback(build_app(sink.letters, sink.refusals), asked.http_port) as page:
        where = f"smtp://{sink.host}:{sink.port}, to be read at {page.url}"
        wait_for_the_end("Mail", where, asked.print_port_file, sink.port, page.port)


if __name__ == "__main__":
    main()
