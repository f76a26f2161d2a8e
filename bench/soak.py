"""1,000 releases while Slack fails a third of the time and the bot is restarted: is each announced exactly once?"""

import contextlib
import random
import tempfile
import time
from pathlib import Path

from tests.bot.soak import soak


def main(number: int = 1000) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        began = time.monotonic()
        found = soak(Path(folder), stack, number, random.Random(1))
        took = time.monotonic() - began
    print(f"{number} releases, {found.cards} cards, {found.repeated} repeated, {found.missed} missed")
    print(f"{found.calls} calls, {found.failed / found.calls:.0%} failed, {found.restarts} restarts, {took:.1f} s")


if __name__ == "__main__":
    main()
