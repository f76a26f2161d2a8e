"""The stores that the gateway's ledger may be in, for suites that must hold for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from gateway.store import Where, open_store
from lab.postgres.server import Server
from lifecycle.settings import Shared


@contextmanager
def fresh_database(server: Server, name: str) -> Iterator[Shared]:
    """An empty database of the server, migrated; dropped afterwards."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    where = Shared(server.url.replace("/postgres?", f"/{name}?"))
    try:
        open_store(where).close()
        yield where
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def fresh_file(folder: Path) -> Where:
    path = folder / "gateway.db"
    open_store(path).close()
    return path
