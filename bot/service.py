"""`dayzero bot`: the process that watches, decides, tells. Everything it knows stands in the ledger."""

import logging
import signal
import threading

from bot.loops import Loop
from bot.slack.chat import Chat
from bot.world import build
from lifecycle.reconcile import only_one
from lifecycle.settings import Settings

log = logging.getLogger("dayzero")

WATCH_ROUND_S = 1.0
"""How often we ask which source is due; how often each is looked at is in the settings."""


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Refused when another process already does the same for this ledger."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_one(settings.site.state):
        parts = build(settings)
        chat = Chat(parts)
        loops = [
            Loop("watch", min(WATCH_ROUND_S, settings.watch.every_s), lambda: parts.watch(WATCH_ROUND_S), stop),
            Loop("tick", settings.tick_s, parts.tick, stop),
            Loop("tell", min(1.0, settings.tick_s), chat.tell, stop),
            Loop("webhooks", 1.0, parts.courier.step, stop),
            Loop("listen", 5.0, chat.connect, stop),
        ]
        for loop in loops:
            loop.start()
        log.info("dayzero is at work: scheduler %s, ledger %s", parts.world.scheduler.name, settings.ledger_path)
        stop.wait()
        for loop in loops:
            loop.thread.join(timeout=30)
        chat.close()
    log.info("dayzero has stopped; nothing is lost")
    return 0
