"""Verbs that only look: status, history, logs."""

import time
from argparse import Namespace

from bot import pace, promise, show
from bot.checks.site import at_work
from bot.naming import named
from bot.verbs.answer import Answer, ledger_of, parts_of, settings_of
from lifecycle import queries, releases, reports
from lifecycle.errors import NotFound
from lifecycle.ledger import Ledger
from lifecycle.records import Release
from lifecycle.settings import Settings


def status(options: Namespace) -> Answer:
    settings = settings_of(options)
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
        report = reports.address(settings, found[0].id, found[0].verdict)
        return Answer(data, show.one(found[0], servers[found[0].id], victims, time.time(), report))
    rows = {r.id for r in waiting} | {d.release_id for d in found if d.release_id is not None}
    clocks = promise.lines(ledger.connection, rows, settings.watch.promise_hours, time.time())
    text = show.status(found, servers, waiting, time.time(), clocks)
    pid = at_work(settings.site.state)
    if pid is None and (found or waiting):
        text += "\n\nNo bot is at work on this host: nothing moves until `dayzero bot` runs."
    return Answer({**data, "bot": pid}, text)


def _cluster(settings: Settings, ledger: Ledger) -> Answer:
    from bot import looks

    scheduler = parts_of(settings).world.scheduler
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

    settings = settings_of(options)
    deployment = named(Ledger(settings.ledger_path, time.time).connection, options.deployment)
    found = kept.tail(settings.site.shared, deployment, options.lines)
    if not found.name:
        raise NotFound(f"{deployment.id} has no log yet.", "`dayzero status` says what it waits for.")
    return Answer({"log": found.name, "lines": found.text.splitlines()}, f"{found.name}:\n{found.text}")


def history(options: Namespace) -> Answer:
    ledger = ledger_of(options)
    deployment = named(ledger.connection, options.deployment)
    events = queries.history(ledger.connection, deployment.id)
    events = events[-options.tail :] if options.tail else events
    return Answer(show.history_data(events), show.history(events, deployment))
