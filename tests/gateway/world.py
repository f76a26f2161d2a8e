"""A ledger with rows in it, and a gateway process over it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import openai
from sqlite_utils import Database

from gateway import keys
from gateway.store import open_store
from lifecycle.migrations import MIGRATIONS
from lifecycle.settings import Settings, load
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


class Ledger:
    """The bot's side: rows as the lifecycle writes them."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        MIGRATIONS.apply(Database(self._connection))

    def deploy(self, id: str, model: str, state: str = "STABLE", weight: float = 1, since: float | None = None) -> None:
        now = time.time() if since is None else since
        plan = json.dumps({"nodes": 2, "gpus_per_node": 4})
        self._connection.execute(
            "INSERT INTO deployments (id, model, revision, plan, state, since, created_at, created_by, weight)"
            " VALUES (?, ?, 'abc', ?, 'STARTING', ?, ?, 'alice', ?)",
            (id, model, plan, now, now, weight),
        )
        self._connection.execute("UPDATE deployments SET state = ? WHERE id = ?", (state, id))

    def move(self, id: str, state: str) -> None:
        self._connection.execute("UPDATE deployments SET state = ?, since = ? WHERE id = ?", (state, time.time(), id))

    def serve(self, deployment: str, url: str, backend_model: str, engine: str = "vllm") -> int:
        """A server comes up; its endpoint's id."""
        count = "SELECT count(*) FROM servers WHERE deployment_id = ?"
        n = self._connection.execute(count, (deployment,)).fetchone()[0]
        now = time.time()
        id = self._connection.execute(
            "INSERT INTO servers (deployment_id, n, state, since, created_at, url, backend_model, engine)"
            " VALUES (?, ?, 'LOADING', ?, ?, ?, ?, ?)",
            (deployment, n + 1, now, now, url, backend_model, engine),
        ).lastrowid
        self._connection.execute("UPDATE servers SET state = 'UP' WHERE id = ?", (id,))
        return id

    def note_server(self, server: int, deployment: str, at: float, new: str) -> None:
        """The event that the lifecycle writes when a server moves."""
        self._connection.execute(
            "INSERT INTO events (at, kind, deployment_id, server_id, new, by) VALUES (?, ?, ?, ?, ?, 'us')",
            (at, "server.moved", deployment, server, new),
        )

    def drain(self, server: int) -> None:
        self._connection.execute("UPDATE servers SET state = 'DRAINING' WHERE id = ?", (server,))

    @property
    def generation(self) -> int:
        return self._connection.execute("SELECT generation FROM routing").fetchone()[0]

    def close(self) -> None:
        self._connection.close()


class Gateway:
    """`python -m gateway` over a folder's dayzero.toml."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None):
        command = [sys.executable, "-m", "gateway", "--config", str(folder / "dayzero.toml")]
        env = {**os.environ, **(environment or {})}
        self.lines: list[dict] = []
        self._clients: list[openai.OpenAI] = []
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        listening = until(lambda: self.said("listening"), 30, "the gateway to listen")
        self.url = f"http://127.0.0.1:{listening[0]['port']}"
        until(self.ready, 30, "the gateway to be ready")

    def _read(self) -> None:
        for line in self.process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": "raw", "line": line})

    def said(self, event: str) -> list[dict]:
        return [line for line in self.lines if line.get("event") == event]

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def client(self, key: str) -> openai.OpenAI:
        """It is closed when this gateway ends: the garbage collector would complain of its sockets in a later test."""
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=30)
        self._clients.append(client)
        return client

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(40)
        self._reader.join(10)
        self.process.stderr.close()
        while self._clients:
            self._clients.pop().close()
        return code


def configure(folder: Path, providers: bool = False) -> Settings:
    """A settings file and its folders."""
    text = '[site]\nname = "our <lab>"\nstate = "state"\nshared = "shared"\n[gateway]\nport = 0\n'
    if providers:
        text += 'providers_file = "providers.toml"\n'
    (folder / "dayzero.toml").write_text(text)
    return load(folder / "dayzero.toml", {})


def new_key(settings: Settings, *tags: str, name: str = "alice") -> str:
    db = open_store(settings.gateway_path)
    try:
        return keys.issue(db, name, tags, team="red")
    finally:
        db.close()
