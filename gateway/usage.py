"""Usage: one row per request that was answered (or tried), and the sums people ask for."""

from pathlib import Path
from typing import NamedTuple

from gateway.store import read_only

GONE_AWAY = 499
"""Status of a request whose caller hung up before the end."""


class Usage(NamedTuple):
    """Column for column. `at` epoch seconds UTC of the arrival; `cost` in the prices' currency, None: not known.

    `counted`: "backend" when the backend said so, "tokenizer" when the model's tokenizer counted what went through,
    "chunks" when a stream's chunks were counted, "" when nobody knows. `cached_tokens` are part of `prompt_tokens`,
    `reasoning_tokens` of `completion_tokens`; None: the backend doesn't say. `kind` is the dialect's name, "chat" …
    `provider` is "own" for our servers. `ttft_s` is the time to the first byte of the answer.
    """

    at: float
    request_id: str
    key_id: int
    team: str
    asked: str
    model: str
    deployment_id: str | None
    endpoint_id: int | None
    provider: str
    stream: bool
    status: int
    prompt_tokens: int | None
    completion_tokens: int | None
    counted: str
    ttft_s: float | None
    duration_s: float
    cost: float | None
    cost_estimated: bool
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    kind: str = ""


COLUMNS = ", ".join(Usage._fields)
INSERT = f"INSERT INTO usage ({COLUMNS}) VALUES ({', '.join('?' * len(Usage._fields))})"


def rows(path: Path, limit: int = 100) -> list[dict]:
    """The newest rows of gateway.db, newest first, with the key's prefix and name."""
    connection = read_only(path)
    try:
        query = (
            "SELECT usage.*, keys.prefix AS key, keys.name AS key_name"
            " FROM usage LEFT JOIN keys ON keys.id = usage.key_id ORDER BY usage.id DESC LIMIT ?"
        )
        return [dict(row) for row in connection.execute(query, (limit,))]
    finally:
        connection.close()
