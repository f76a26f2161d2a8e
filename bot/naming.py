"""Which deployment a person means."""

import sqlite3

from bot.words import nearest
from lifecycle import queries
from lifecycle.errors import NotFound
from lifecycle.records import Deployment


def named(db: sqlite3.Connection, name: str) -> Deployment:
    """A deployment by id or model; NotFound names the nearest of both."""
    try:
        return queries.named(db, name)
    except NotFound as missing:
        known = {word for d in queries.deployments(db, retired=True) for word in (d.id, d.model)}
        raise NotFound(str(missing), nearest(name, sorted(known)) or missing.next_step) from None
