"""Where the workspace keeps what must survive a restart: documents by kind and key in one SQLite file."""

import json
import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS docs (kind TEXT, key TEXT, doc TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, bytes BLOB NOT NULL);
"""


class Store:
    """Documents (dict) and blobs (bytes). Each write is committed before it returns; without a folder, memory only."""

    def __init__(self, folder: Path | None):
        if folder is None:
            self.db = sqlite3.connect(":memory:", isolation_level=None)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(folder / "slack.sqlite", isolation_level=None)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(SCHEMA)

    def all(self, kind: str) -> dict[str, dict]:
        """Every document of a kind, by key, in the order of the keys."""
        rows = self.db.execute("SELECT key, doc FROM docs WHERE kind = ? ORDER BY key", (kind,))
        return {key: json.loads(doc) for key, doc in rows}

    def put(self, kind: str, key: str, doc: dict) -> None:
        self.db.execute("REPLACE INTO docs VALUES (?, ?, ?)", (kind, key, json.dumps(doc)))

    def drop(self, kind: str, key: str) -> None:
        self.db.execute("DELETE FROM docs WHERE kind = ? AND key = ?", (kind, key))

    def put_bytes(self, key: str, data: bytes) -> None:
        self.db.execute("REPLACE INTO blobs VALUES (?, ?)", (key, data))

    def get_bytes(self, key: str) -> bytes | None:
        row = self.db.execute("SELECT bytes FROM blobs WHERE key = ?", (key,)).fetchone()
        return row and row[0]

    def close(self) -> None:
        self.db.close()
