"""Verbs by which something is decided: of a release, or of a deployment."""

import time
from argparse import Namespace
from collections.abc import Callable

from bot import show
from bot.sight import sight, smaller_of
from bot.verbs.answer import Answer, ledger_of, me, parts_of, release_named, settings_of
from bot.words import wishes
from lifecycle import actions
from lifecycle.errors import Refused
from lifecycle.ledger import Ledger
from lifecycle.records import Release


def plan(options: Namespace) -> Answer:
    from batch.hub import parse_reference

    parts = parts_of(settings_of(options))
    reference = parse_reference(options.model)
    facts = parts.hub.facts(reference.repo, reference.revision)
    made, refusal = parts.offers.planned(facts, **wishes(options))
    if made is None:
        return Answer({"refused": refusal}, f"No plan: {refusal}", ok=False)
    scripts = parts.world.recipes.drafts(made)
    others = parts.world.recipes.alternatives(facts, made, **wishes(options)) if made.model == facts.repo else ()
    data = {"plan": made.to_dict(), "digest": made.digest, "scripts": scripts, "alternatives": list(others)}
    also = "".join(f"\n  {other}" for other in others)
    shown = show.plan(facts, made) + (f"\n\nAlso possible:{also}" if also else "")
    return Answer(data, "\n\n".join([shown, *scripts.values()]))


def deploy(options: Namespace) -> Answer:
    from batch.hub import parse_reference

    parts = parts_of(settings_of(options))
    reference = parse_reference(options.model)
    release = parts.offers.ask(reference.repo, reference.revision, by=me(), **wishes(options))
    made, said = actions.approve(parts.ledger, release.id, release.plan.digest, by=me())
    return Answer({"deployment": made, "release": release.id, "said": said}, said)


def approve(options: Namespace) -> Answer:
    ledger = ledger_of(options)
    if options.quantized:
        return _approve_quantized(options, release_named(ledger, options.release))
    made, said = actions.approve(ledger, release_named(ledger, options.release).id, options.digest, by=me())
    return Answer({"deployment": made, "said": said}, said)


def _approve_quantized(options: Namespace, release: Release) -> Answer:
    smaller = smaller_of(release)
    if smaller is None:
        again = f"`dayzero deploy {release.repo} --quant fp8` makes one."
        raise Refused(f"{release.repo} is offered without a quantized plan.", again)
    if options.digest and smaller.digest != options.digest:
        raise Refused("The plan has changed since you saw it.", f"It is {smaller.digest} now.")
    parts = parts_of(settings_of(options))
    said = parts.offers.approve_smaller(release.id, sight(smaller), by=me())
    return Answer({"release": release.id, "said": said}, said)


def skip(options: Namespace) -> Answer:
    ledger = ledger_of(options)
    said = actions.decide(ledger, release_named(ledger, options.release).id, "skipped", by=me())
    return Answer({"said": said}, said)


def doing(verb: str) -> Callable[[Namespace], Answer]:
    """One of bot.act_words.ACTS, as `dayzero` does it."""

    def run(options: Namespace) -> Answer:
        from bot.acts import Desk, act

        settings = settings_of(options)
        desk = Desk(settings, Ledger(settings.ledger_path, time.time), lambda: parts_of(settings))
        done = act(desk, verb, options, by=me())
        return Answer({"said": done.said, **({"deployment": done.made} if done.made else {})}, done.said)

    return run
