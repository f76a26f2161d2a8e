"""Verbs of the gateway: running it, its keys, and what was used."""

from argparse import Namespace

from bot.verbs.answer import Answer, me, settings_of
from lifecycle.settings import Settings


def gateway(options: Namespace) -> int:
    from gateway.__main__ import serve, with_changes

    def read() -> Settings:
        return with_changes(settings_of(options), host=options.host, port=options.port, workers=options.workers)

    return serve(read(), read)


def keys(options: Namespace) -> Answer:
    from gateway.auth import cli

    return Answer(*cli.run_keys(options, settings_of(options), me()))


def teams(options: Namespace) -> Answer:
    from gateway.auth import cli

    return Answer(*cli.run_teams(options, settings_of(options), me()))


def usage(options: Namespace) -> Answer:
    from gateway.ledger import command

    by = [one.strip() for one in options.by.split(",") if one.strip()]
    found = command.read_usage(settings_of(options), by, options.days)
    if options.gpus:
        return Answer(command.gpus_data(found), command.gpus_csv(found) if options.csv else command.gpus_table(found))
    data = command.as_data(found, by)
    return Answer(data, command.as_csv(found, by) if options.csv else command.as_table(found, by))
