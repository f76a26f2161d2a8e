"""What people do to a deployment. The command line, the words of Slack and its buttons all end here."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from bot import frameworks, successors
from bot.naming import named
from bot.world import Parts
from lifecycle import actions, swapping
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings


@dataclass(frozen=True)
class Desk:
    """Where it is done. `parts` connects to the Hub and the scheduler: only what needs them calls it."""

    settings: Settings
    ledger: Ledger
    parts: Callable[[], Parts]


@dataclass(frozen=True)
class Done:
    """A sentence for the person; the deployment that came of it, where one did."""

    said: str
    made: str = ""


def act(desk: Desk, verb: str, options: Namespace, *, by: str) -> Done:
    """One of bot.act_words.ACTS with its options. NotFound, Refused or WrongMove: why not, and what to do."""
    name = named(desk.ledger.connection, options.deployment).id
    return _ACTS[verb](desk, name, options, by)


def _simply(action: Callable[..., str]) -> Callable[[Desk, str, Namespace, str], Done]:
    def run(desk: Desk, name: str, options: Namespace, by: str) -> Done:
        return Done(action(desk.ledger, name, by=by, because=options.because))

    return run


def _extend(desk: Desk, name: str, options: Namespace, by: str) -> Done:
    return Done(actions.extend(desk.ledger, name, options.hours, by=by, because=options.because))


def _promote(desk: Desk, name: str, options: Namespace, by: str) -> Done:
    return Done(actions.promote(desk.ledger, name, options.tag, by=by, because=options.because))


def _retry(desk: Desk, name: str, options: Namespace, by: str) -> Done:
    if options.image:
        return Done(frameworks.again(desk.ledger, desk.settings, name, options.image, by=by))
    return _simply(actions.retry)(desk, name, options, by)


def _swap(desk: Desk, name: str, options: Namespace, by: str) -> Done:
    if options.resume:
        return Done(swapping.resume(desk.ledger, name, by=by))
    ways = successors.ways_of(desk.parts())
    made, said = successors.swap(ways, name, to=options.to, scheme=options.quant, own=options.own, by=by)
    return Done(said, made)


_ACTS: dict[str, Callable[[Desk, str, Namespace, str], Done]] = {
    "extend": _extend,
    "swap": _swap,
    "rollback": _simply(swapping.rollback),
    "promote": _promote,
    "retire": _simply(actions.retire),
    "abandon": _simply(actions.retire),
    "retry": _retry,
    "fail": _simply(actions.fail),
}
