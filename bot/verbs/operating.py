"""Verbs of the operator: the service itself, what it watches, and what lies on the shared file system."""

import time
from argparse import Namespace

from bot import show
from bot.naming import named
from bot.sentences import plural
from bot.verbs.answer import Answer, me, parts_of, settings_of
from bot.words import nearest
from lifecycle.errors import NotFound
from lifecycle.ledger import Ledger


def tick(options: Namespace) -> Answer:
    from lifecycle.reconcile import only_one

    settings = settings_of(options)
    with only_one(settings.site.state):
        parts = parts_of(settings)
        found = parts.watch()
        done = parts.tick()
    data = {"found": found, "rows": done.rows, "stumbles": done.stumbles, "scheduler_ok": done.scheduler_ok}
    text = f"{plural(found, 'new release')}, {plural(done.rows, 'row')} looked at"
    return Answer(data, "\n".join([text, *done.stumbles]))


def watch(options: Namespace) -> Answer:
    found = parts_of(settings_of(options)).hub_watch.dry_run(options.organisation, options.days)
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

    settings = settings_of(options)
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


def slack(options: Namespace) -> Answer:
    from bot.slack.manifest import as_yaml, manifest

    made = manifest(options.http)
    return Answer(made, as_yaml(made).rstrip())


def check(options: Namespace) -> Answer:
    from bot import check as parts

    results = parts.run(settings_of(options), options.parts)
    return Answer(show.checks_data(results), show.checks(results), ok=all(r.ok is not False for r in results))


def weights(options: Namespace) -> Answer:
    from bot import weights as kept

    return Answer(*kept.run(options, settings_of(options), me()))


def scale(options: Namespace) -> Answer:
    from lifecycle.wishes import Scale, said
    from lifecycle.wishes import scale as resize

    settings = settings_of(options)
    ledger = Ledger(settings.ledger_path, time.time)
    deployment = named(ledger.connection, options.deployment)
    asked = Scale(
        replicas=options.replicas, idle_s=options.idle_s, hours=options.hours, wake=options.wake, sleep=options.sleep
    )
    if asked == Scale():
        return Answer({"said": said(deployment)}, said(deployment))
    done = resize(ledger, deployment.id, asked, max_nodes=settings.cluster.guards.max_nodes, by=me())
    return Answer({"said": done}, done)


def image(options: Namespace) -> Answer:
    from bot import images

    return Answer(*images.run(options, settings_of(options), me()))


def bot(options: Namespace) -> int:
    from bot.service import serve

    return serve(settings_of(options))
