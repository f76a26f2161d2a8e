"""What a verb answers, and what most of them begin with."""

import getpass
import os
import time
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from bot.words import nearest
from lifecycle import queries, releases
from lifecycle.errors import NotFound
from lifecycle.ledger import Ledger
from lifecycle.records import Release
from lifecycle.settings import Settings, load


@dataclass(frozen=True)
class Answer:
    """The same twice: `data` for --json, `text` for people. Not `ok`: exit status 1."""

    data: Any
    text: str
    ok: bool = True


def me() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()} (command line)"


def settings_of(options: Namespace) -> Settings:
    return load(options.config)


def ledger_of(options: Namespace) -> Ledger:
    return Ledger(settings_of(options).ledger_path, time.time)


def parts_of(settings: Settings) -> Any:
    """All parts of the service, connected to nothing yet."""
    from bot.world import build  # brings the Hub's client and more: half a second that `status` need not wait

    return build(settings)


def release_named(ledger: Ledger, name: str) -> Release:
    """By its number, or the newest of a repository."""
    if name.isdigit():
        return queries.release(ledger.connection, int(name))
    found = queries.releases_in(ledger.connection, *releases.RELEASE.table)
    for release in reversed(found):
        if release.repo == name:
            return release
    advice = nearest(name, sorted({r.repo for r in found})) or "`dayzero status` lists them."
    raise NotFound(f"There is no release {name!r}.", advice)
