"""What each verb of `dayzero` does: options in, an Answer out. A verb imports what it needs when it runs."""

from argparse import Namespace
from collections.abc import Callable

from bot.act_words import ACTS
from bot.verbs import deciding, looking, operating, serving
from bot.verbs.answer import Answer

VERBS: dict[str, Callable[[Namespace], Answer | int]] = {
    "status": looking.status,
    "history": looking.history,
    "logs": looking.logs,
    "plan": deciding.plan,
    "deploy": deciding.deploy,
    "approve": deciding.approve,
    "skip": deciding.skip,
    **{verb: deciding.doing(verb) for verb in ACTS},
    "bot": operating.bot,
    "tick": operating.tick,
    "scale": operating.scale,
    "weights": operating.weights,
    "image": operating.image,
    "check": operating.check,
    "watch": operating.watch,
    "webhooks": operating.webhooks,
    "slack": operating.slack,
    "gateway": serving.gateway,
    "keys": serving.keys,
    "teams": serving.teams,
    "usage": serving.usage,
}
"""Verb → what it does; the Gauntlet brings its own. An int is an exit status, of what runs until it is stopped."""
