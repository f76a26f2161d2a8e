"""`dayzero swap`: finds or makes the successor of a deployment, and begins the swap.

A repository that is named comes first; else the official quantized copy; else one that is made here by a quantize job;
where there is no llm-compressor, FP8 on the fly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batch.hub import parse_reference
from batch.quantizing import how_of
from bot.smaller import Smaller
from bot.world import Parts
from lifecycle import queries, swapping
from lifecycle.errors import Refused
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Release
from lifecycle.settings import Settings

USUAL = "fp8"
MADE_HERE = ("fp8", "awq", "gptq")


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What finding a successor needs of the rest. `official` and `planned` raise lifecycle.errors."""

    settings: Settings
    ledger: Ledger
    facts: Callable[[str, str | None], ModelFacts]
    official: Callable[[ModelFacts, str], ModelFacts | None]
    ask: Callable[..., Release]
    made_here: Callable[..., Plan]
    on_the_fly: Callable[..., Plan]


def ways_of(parts: Parts) -> Ways:
    """As this site has them."""
    smaller = Smaller(parts.hub, parts.world.recipes, parts.settings.watch.partners)
    return Ways(
        settings=parts.settings,
        ledger=parts.ledger,
        facts=parts.hub.facts,
        official=smaller.official,
        ask=parts.offers.ask,
        made_here=parts.world.recipes.quantized,
        on_the_fly=parts.world.recipes.plan,
    )


def swap(ways: Ways, name: str, *, to: str = "", scheme: str = "", own: bool = False, by: str) -> tuple[str, str]:
    """(the successor's id, a sentence). Refused or WrongMove: why not, and what to do."""
    ledger = ways.ledger
    elder = queries.named(ledger.connection, name)
    swapping.refuse_swap(ledger, elder)
    if scheme and scheme not in MADE_HERE:
        raise Refused(f"There is no way to quantize called {scheme!r}.", f"Choose {', '.join(MADE_HERE)}.")
    if to:
        return _named(ways, elder, to, by)
    facts = _facts(ways, elder)
    if not own and (copy := ways.official(facts, scheme)) is not None:
        successor, said = _named(ways, elder, f"{copy.repo}@{copy.revision}", by)
        return successor, f"{copy.repo} is the official quantized copy of {elder.model}. {said}"
    plan = _made(ways, elder, facts, scheme or USUAL, own)
    swapping.refuse_crowd(elder, plan, ways.settings.cluster.guards.max_nodes)
    return _told(swapping.swap_for(ledger, elder, plan, ways.settings.swap.steps, by=by), elder, plan.reasons[:1])


def _facts(ways: Ways, elder: Deployment) -> ModelFacts:
    """Of the weights that the elder serves, or was made from."""
    revision = how_of(elder.plan).made_from if elder.plan.quantizing else elder.revision
    return ways.facts(elder.model, revision)


def _made(ways: Ways, elder: Deployment, facts: ModelFacts, scheme: str, own: bool) -> Plan:
    context = {"context": elder.plan.context}
    if not own and scheme == USUAL and not ways.settings.quantize.command:
        return ways.on_the_fly(facts, quant=USUAL, **context)
    return ways.made_here(facts, scheme, **context)


def _named(ways: Ways, elder: Deployment, to: str, by: str) -> tuple[str, str]:
    """A repository, or a deployment that serves already."""
    ledger, steps = ways.ledger, ways.settings.swap.steps
    for one in queries.deployments(ledger.connection):
        if one.id != elder.id and (one.id == to or f"{one.model}@{one.revision}" == to or one.model == to):
            if one.state not in swapping.SERVING:
                raise Refused(
                    f"{one.id} is {one.state}; it can take over once it is in preview.", "Wait, then ask again."
                )
            swapping.begin(ledger, elder, one.id, steps, by=by)
            return _told(one.id, elder)
    reference = parse_reference(to)
    release = ways.ask(reference.repo, reference.revision, by=by)
    if release.plan is None:
        raise Refused(release.refusal or f"{release.repo} has no plan.")
    swapping.refuse_crowd(elder, release.plan, ways.settings.cluster.guards.max_nodes)
    with ledger.write():
        made = ledger.approve(release, release.plan, by=by, replaces=elder.id)
        if made is None:
            raise Refused(f"Somebody else approved {release.repo} just now.", "Ask again, with its deployment's id.")
        swapping.begin(ledger, elder, made, steps, by=by)
    return _told(made, elder)


def _told(successor: str, elder: Deployment, more: Sequence[str] = ()) -> tuple[str, str]:
    said = (
        f"{successor} is on its way to the place of {elder.id}, which serves until it has passed.",
        *more,
        f"`dayzero rollback {successor}` takes it back at any time.",
    )
    return successor, " ".join(said)
