"""`python -m lab.slack --port 0 --dir DIR`: the workspace until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import signal
from pathlib import Path

from lab.slack.seed import Seed, load_seed
from lab.slack.server import Workspace, run, running


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.slack", description="A Slack workspace on this machine.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (loopback unless you say so)")
    parser.add_argument("--dir", type=Path, help="keep messages and files here; without it a stop forgets them")
    parser.add_argument("--port-file", type=Path, help="write the port here once it answers")
    parser.add_argument("--seed", type=Path, help="TOML or JSON with members, channels, groups, commands, ...")
    given = parser.parse_args()
    try:
        seed = load_seed(given.seed) if given.seed else Seed()
        run(serve(Workspace(given.dir, port=given.port, host=given.host, seed=seed), given.port_file))
    except (OSError, ValueError) as wrong:
        raise SystemExit(f"lab.slack: {wrong}") from None


async def serve(workspace: Workspace, port_file: Path | None) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with running(workspace):
        if port_file:
            aside = port_file.with_name(port_file.name + ".new")
            aside.write_text(f"{workspace.port}\n", encoding="ascii")
            os.replace(aside, port_file)
        print(f"Slack workspace: {workspace.url}/?as=alice", flush=True)
        print(f"for the bot: base_url {workspace.api_url} bot token {workspace.bot_token} app token "
              f"{workspace.app_token}", flush=True)  # fmt: skip
        await stop.wait()


if __name__ == "__main__":
    main()
