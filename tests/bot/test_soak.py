"""Each release is announced exactly once, whatever Slack does. `python -m bench soak` does it with 1,000."""

import contextlib
import random
from pathlib import Path

from tests.bot.soak import soak


def test_each_release_is_announced_exactly_once(tmp_path: Path) -> None:
    """60 releases in bursts, a third of the calls fail (refused, answered by nobody, limited), the bot restarts."""
    with contextlib.ExitStack() as stack:
        found = soak(tmp_path, stack, 60, random.Random(1))
    assert found.failed > found.calls / 4 and found.restarts >= 1, found
    assert (found.cards, found.repeated, found.missed) == (60, 0, 0), found
