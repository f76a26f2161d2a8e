"""What each verb of `dayzero` does: options in, an Answer out. A verb imports what it needs when it runs."""

import getpass
import os
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot import pace, promise, show
from bot.checks.site import at_work
from bot.commands import nearest, wishes
from bot.naming import named
from bot.sentences import plural
from bot.sight import sight, smaller_of
from lifecycle import actions, queries, releases, swapping
from lifecycle.errors import NotFound, Refused
from lifecycle.ledger import Ledger
from lifecycle.records import Release
from lifecycle.settings import Settings, load


@dataclass(frozen=True)
class Answer:
    """The same twice: `data` for --json, `text` for people. Not `ok`: exit status 1."""

    data: Any
    text: str
    ok: bool = True


def _me() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()} (command line)"


def _settings(options: Namespace) -> Settings:
    return load(options.config)


def _ledger(options: Namespace) -> Ledger:
    return Ledger(_settings(options).ledger_path, time.time)


def _parts(settings: Settings) -> Any:
    from bot.world import build  # brings the Hub's client and more: half a second that `status` need not wait

    return build(settings)


def _release(ledger: Ledger, name: str) -> Release:
    """By its number, or the newest of a repository."""
    if name.isdigit():
        return queries.release(ledger.connection, int(name))
    found = queries.releases_in(ledger.connection, *releases.RELEASE.table)
    for release in reversed(found):
        if release.repo == name:
            return release
    advice = nearest(name, sorted({r.repo for r in found})) or "`dayzero status` lists them."
    raise NotFound(f"There is no release {name!r}.", advice)


# Looking --------------------------------------------------------------------------------------------------------


def status(options: Namespace) -> Answer:
    settings = _settings(options)
    ledger = Ledger(settings.ledger_path, time.time)
    if options.name in LOOKS:
        return LOOKS[options.name](settings, ledger)
    waiting: list[Release] = []
    if options.name:
        found = [named(ledger.connection, options.name)]
    else:
        found = queries.deployments(ledger.connection, retired=options.retired)
        waiting = queries.releases_in(ledger.connection, releases.FOUND, releases.OFFERED, releases.SNOOZED)
    servers = {d.id: queries.servers_of(ledger.connection, d.id) for d in found}
    data = show.status_data(found, servers, waiting)
    if options.name:
        victims = queries.victims_of(ledger.connection, found[0].id)
        return Answer(data, show.one(found[0], servers[found[0].id], victims, time.time()))
    rows = {r.id for r in waiting} | {d.release_id for d in found if d.release_id is not None}
    clocks = promise.lines(ledger.connection, rows, settings.watch.promise_hours, time.time())
    text = show.status(found, servers, waiting, time.time(), clocks)
    pid = at_work(settings.site.state)
    if pid is None and (found or waiting):
        text += "\n\nNo bot is at work on this host: nothing moves until `dayzero bot` runs."
    return Answer({**data, "bot": pid}, text)


def _cluster(settings: Settings, ledger: Ledger) -> Answer:
    from bot import looks

    scheduler = _parts(settings).world.scheduler
    snapshot, total = scheduler.snapshot(()), scheduler.capacity()
    return Answer(looks.cluster_data(snapshot, total), looks.cluster(snapshot, time.time(), total), ok=snapshot.ok)


def _costs(settings: Settings, ledger: Ledger) -> Answer:
    from bot import looks

    rows = looks.today(settings, time.time())
    return Answer(rows, looks.costs(rows))


def _paces(settings: Settings, ledger: Ledger) -> Answer:
    found = pace.paces(ledger.connection)
    return Answer(pace.data(found), pace.shown(found))


LOOKS = {"cluster": _cluster, "costs": _costs, "history": _paces}
"""What `status` shows besides deployments."""


def logs(options: Namespace) -> Answer:
    from bot import logs as kept

    settings = _settings(options)
    deployment = named(Ledger(settings.ledger_path, time.time).connection, options.deployment)
    found = kept.tail(settings.site.shared, deployment, options.lines)
    if not found.name:
        raise NotFound(f"{deployment.id} has no log yet.", "`dayzero status` says what it waits for.")
    return Answer({"log": found.name, "lines": found.text.splitlines()}, f"{found.name}:\n{found.text}")


def history(options: Namespace) -> Answer:
    ledger = _ledger(options)
    deployment = named(ledger.connection, options.deployment)
    events = queries.history(ledger.connection, deployment.id)
    events = events[-options.tail :] if options.tail else events
    return Answer(show.history_data(events), show.history(events, deployment))


# Deciding -------------------------------------------------------------------------------------------------------


def plan(options: Namespace) -> Answer:
    from batch.hub import parse_reference

    parts = _parts(_settings(options))
    reference = parse_reference(options.model)
    facts = parts.hub.facts(reference.repo, reference.revision)
    made, refusal = parts.offers.planned(facts, **wishes(options))
    if made is None:
        return Answer({"refused": refusal}, f"No plan: {refusal}", ok=False)
    script = parts.world.recipes.draft(made).path.read_text()
    others = parts.world.recipes.alternatives(facts, made, **wishes(options)) if made.model == facts.repo else ()
    data = {"plan": made.to_dict(), "digest": made.digest, "script": script, "alternatives": list(others)}
    also = "".join(f"\n  {other}" for other in others)
    shown = show.plan(facts, made) + (f"\n\nAlso possible:{also}" if also else "")
    return Answer(data, f"{shown}\n\n{script}")


def deploy(options: Namespace) -> Answer:
    from batch.hub import parse_reference

    parts = _parts(_settings(options))
    reference = parse_reference(options.model)
    release = parts.offers.ask(reference.repo, reference.revision, by=_me(), **wishes(options))
    made, said = actions.approve(parts.ledger, release.id, release.plan.digest, by=_me())
    return Answer({"deployment": made, "release": release.id, "said": said}, said)


def approve(options: Namespace) -> Answer:
    ledger = _ledger(options)
    if options.quantized:
        return _approve_quantized(options, _release(ledger, options.release))
    made, said = actions.approve(ledger, _release(ledger, options.release).id, options.digest, by=_me())
    return Answer({"deployment": made, "said": said}, said)


def _approve_quantized(options: Namespace, release: Release) -> Answer:
    smaller = smaller_of(release)
    if smaller is None:
        again = f"`dayzero deploy {release.repo} --quant fp8` makes one."
        raise Refused(f"{release.repo} is offered without a quantized plan.", again)
    if options.digest and smaller.digest != options.digest:
        raise Refused("The plan has changed since you saw it.", f"It is {smaller.digest} now.")
    parts = _parts(_settings(options))
    said = parts.offers.approve_smaller(release.id, sight(smaller), by=_me())
    return Answer({"release": release.id, "said": said}, said)


def extend(options: Namespace) -> Answer:
    ledger = _ledger(options)
    name = named(ledger.connection, options.deployment).id
    said = actions.extend(ledger, name, options.hours, by=_me(), because=options.because)
    return Answer({"said": said}, said)


def swap(options: Namespace) -> Answer:
    from bot import successors

    settings = _settings(options)
    ledger = Ledger(settings.ledger_path, time.time)
    name = named(ledger.connection, options.deployment).id
    if options.resume:
        said = swapping.resume(ledger, name, by=_me())
        return Answer({"said": said}, said)
    ways = successors.ways_of(_parts(settings))
    made, said = successors.swap(ways, name, to=options.to, scheme=options.quant, own=options.own, by=_me())
    return Answer({"deployment": made, "said": said}, said)


def skip(options: Namespace) -> Answer:
    ledger = _ledger(options)
    said = actions.decide(ledger, _release(ledger, options.release).id, "skipped", by=_me())
    return Answer({"said": said}, said)


def promote(options: Namespace) -> Answer:
    ledger = _ledger(options)
    name = named(ledger.connection, options.deployment).id
    said = actions.promote(ledger, name, options.tag, by=_me(), because=options.because)
    return Answer({"said": said}, said)


def _acting(action: Callable[..., str]) -> Callable[[Namespace], Answer]:
    def run(options: Namespace) -> Answer:
        ledger = _ledger(options)
        said = action(ledger, named(ledger.connection, options.deployment).id, by=_me(), because=options.because)
        return Answer({"said": said}, said)

    return run


def retry(options: Namespace) -> Answer:
    if not options.image:
        return _acting(actions.retry)(options)
    from bot import frameworks

    settings = _settings(options)
    ledger = Ledger(settings.ledger_path, time.time)
    name = named(ledger.connection, options.deployment).id
    said = frameworks.again(ledger, settings, name, options.image, by=_me())
    return Answer({"said": said}, said)


# Operating ------------------------------------------------------------------------------------------------------


def tick(options: Namespace) -> Answer:
    from lifecycle.reconcile import only_one

    settings = _settings(options)
    with only_one(settings.site.state):
        parts = _parts(settings)
        found = parts.watch()
        done = parts.tick()
    data = {"found": found, "rows": done.rows, "stumbles": done.stumbles, "scheduler_ok": done.scheduler_ok}
    text = f"{plural(found, 'new release')}, {plural(done.rows, 'row')} looked at"
    return Answer(data, "\n".join([text, *done.stumbles]))


def watch(options: Namespace) -> Answer:
    found = _parts(_settings(options)).hub_watch.dry_run(options.organisation, options.days)
    rows = [
        {
            "REPOSITORY": d.repo, "CREATED": time.strftime("%Y-%m-%d", time.localtime(d.created)), "KIND": d.kin.kind,
            "OF": d.kin.base, "": d.silence or "announced",
        }
        for d in found
    ]  # fmt: skip
    loud = sum(not d.silence for d in found)
    data = [{"repo": d.repo, "created": d.created, "kind": d.kin.kind, "base": d.kin.base, "silence": d.silence}
            for d in found]  # fmt: skip
    head = f"{plural(loud, 'announcement')} of {plural(len(found), 'new repository')} in {options.days:g} days"
    return Answer(data, f"{head.replace('repositorys', 'repositories')}\n\n{show.table(rows)}" if found else head)


def webhooks(options: Namespace) -> Answer:
    from dataclasses import asdict

    from lifecycle import deliveries

    settings = _settings(options)
    if options.to and options.to not in settings.webhooks.to:
        advice = nearest(options.to, list(settings.webhooks.to)) or "[webhooks.to] in the settings names them."
        raise NotFound(f"There is no webhook {options.to!r}.", advice)
    ledger = Ledger(settings.ledger_path, time.time)
    if options.what == "retry":
        number = deliveries.revive(ledger, options.to)
        return Answer({"revived": number}, f"{plural(number, 'dead letter')} will be sent again by `dayzero bot`.")
    found = [d for d in deliveries.all_of(ledger.connection) if options.to in (None, d.hook)]
    rows = [{"TO": d.hook, "EVENT": d.event_id, "STATE": d.state, "ATTEMPTS": d.attempts, "": d.error} for d in found]
    return Answer([asdict(d) for d in found], show.table(rows) if rows else "Everything was taken.")


def check(options: Namespace) -> Answer:
    from bot import check as parts

    results = parts.run(_settings(options), options.parts)
    return Answer(show.checks_data(results), show.checks(results), ok=all(r.ok is not False for r in results))


def weights(options: Namespace) -> Answer:
    from bot import weights as kept

    return Answer(*kept.run(options, _settings(options), _me()))


def scale(options: Namespace) -> Answer:
    from lifecycle.wishes import Scale, said
    from lifecycle.wishes import scale as resize

    settings = _settings(options)
    ledger = Ledger(settings.ledger_path, time.time)
    deployment = named(ledger.connection, options.deployment)
    asked = Scale(
        replicas=options.replicas, idle_s=options.idle_s, hours=options.hours, wake=options.wake, sleep=options.sleep
    )
    if asked == Scale():
        return Answer({"said": said(deployment)}, said(deployment))
    done = resize(ledger, deployment.id, asked, max_nodes=settings.cluster.guards.max_nodes, by=_me())
    return Answer({"said": done}, done)


def image(options: Namespace) -> Answer:
    from bot import images

    return Answer(*images.run(options, _settings(options), _me()))


def bot(options: Namespace) -> int:
    from bot.service import serve

    return serve(_settings(options))


# The gateway ----------------------------------------------------------------------------------------------------


def gateway(options: Namespace) -> int:
    from gateway.__main__ import serve, with_changes

    def read() -> Settings:
        return with_changes(_settings(options), host=options.host, port=options.port, workers=options.workers)

    return serve(read(), read)


def keys(options: Namespace) -> Answer:
    from gateway.auth import cli

    return Answer(*cli.run_keys(options, _settings(options), _me()))


def teams(options: Namespace) -> Answer:
    from gateway.auth import cli

    return Answer(*cli.run_teams(options, _settings(options), _me()))


def usage(options: Namespace) -> Answer:
    from gateway.ledger import command

    by = [one.strip() for one in options.by.split(",") if one.strip()]
    found = command.read_usage(_settings(options), by, options.days)
    if options.gpus:
        return Answer(command.gpus_data(found), command.gpus_csv(found) if options.csv else command.gpus_table(found))
    data = command.as_data(found, by)
    return Answer(data, command.as_csv(found, by) if options.csv else command.as_table(found, by))


VERBS: dict[str, Callable[[Namespace], Answer | int]] = {
    "status": status,
    "history": history,
    "logs": logs,
    "plan": plan,
    "deploy": deploy,
    "approve": approve,
    "extend": extend,
    "swap": swap,
    "rollback": _acting(swapping.rollback),
    "skip": skip,
    "promote": promote,
    "retire": _acting(actions.retire),
    "abandon": _acting(actions.retire),
    "retry": retry,
    "fail": _acting(actions.fail),
    "bot": bot,
    "tick": tick,
    "scale": scale,
    "weights": weights,
    "image": image,
    "check": check,
    "watch": watch,
    "webhooks": webhooks,
    "gateway": gateway,
    "keys": keys,
    "teams": teams,
    "usage": usage,
}
"""Verb → what it does; the Gauntlet brings its own. An int is an exit status, of what runs until it is stopped."""
