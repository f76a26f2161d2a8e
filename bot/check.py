"""`dayzero check`: prove each part of the installation, all at once, each for a limited time."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping

from bot.checks import cluster, hooks, outside, own, site
from bot.checks.database import database
from bot.checks.identity import identity
from bot.checks.quantize import quantize
from bot.checks.result import Found, Result
from bot.words import nearest
from lifecycle.errors import DayzeroError, Refused
from lifecycle.settings import Settings

LIMIT_S = 20.0

Check = Callable[[Settings], Found]

CHECKS: Mapping[str, Check] = {
    "settings": site.settings,
    "ledger": site.ledger,
    "shared": site.shared,
    "bot": site.bot,
    "scheduler": cluster.scheduler,
    "partition": cluster.partition,
    "gpus": cluster.gpus,
    "account": cluster.account,
    "preemption": cluster.preemption,
    "runtimes": site.runtimes,
    "quantize": quantize,
    "hub": outside.hub,
    "github": outside.github,
    "slack": outside.slack,
    "mail": outside.mail,
    "webhooks": hooks.ready,
    "gateway": own.gateway,
    "database": database,
    "providers": own.providers,
    "identity": identity,
    "gauntlet": own.gauntlet,
}
"""In the order in which they are mended."""

BY_NAME: Mapping[str, Check] = {"webhooks": hooks.answered}
"""What does more when a person asks for it by name."""


def run(
    settings: Settings,
    only: Collection[str] = (),
    limit_s: float = LIMIT_S,
    checks: Mapping[str, Check] = CHECKS,
) -> list[Result]:
    """One result for each part, in order. Never raises but Refused, for a part that isn't there."""
    for name in only:
        if name not in checks:
            advice = nearest(name, list(checks)) or f"There are: {', '.join(checks)}."
            raise Refused(f"There is no part {name!r} to check.", advice)
    deadline = time.monotonic() + limit_s
    chosen = {name: check for name, check in checks.items() if not only or name in only}
    answers = {name: _begin(BY_NAME.get(name, check) if only else check, settings) for name, check in chosen.items()}
    return [_end(name, answer, deadline, limit_s) for name, answer in answers.items()]


def _begin(check: Check, settings: Settings) -> queue.Queue:
    answer: queue.Queue = queue.Queue()
    # a thread of our own, not a pool's: what hangs (a dead NFS server) must not hold up the end of the process
    threading.Thread(target=lambda: answer.put(_guarded(check, settings)), daemon=True).start()
    return answer


def _guarded(check: Check, settings: Settings) -> Found:
    try:
        return check(settings)
    except DayzeroError as error:
        return Found(False, str(error), error.next_step)
    except Exception as error:  # a check that stumbles is itself what was found
        return Found(False, f"{type(error).__name__}: {error}.", "That is not expected: please report it.")


def _end(name: str, answer: queue.Queue, deadline: float, limit_s: float) -> Result:
    try:
        found = answer.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        found = Found(
            False, f"No answer within {limit_s:g} s.", "It hangs, or it is very slow: try again, then look there."
        )
    return Result(name, found.ok, found.sentence, found.next_step)
