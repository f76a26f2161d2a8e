"""What the Hub lists: one request for an organisation, by pages. Each question has an end, however slow the Hub.

Our own few lines where huggingface_hub has `list_models`: that one waits for ever for a Hub that is silent.
"""

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from batch import hub_answers
from lifecycle.errors import DayzeroError, HubUnavailable, UnknownModel
from lifecycle.sections.watching import Hub

EXPAND = ("sha", "createdAt", "private", "gated", "tags")
SILENCE_S = 20.0
WHOLE_S = 90.0
"""Seconds for one answer: without a byte, and in all."""
NONE_KEPT = httpx.Limits(max_keepalive_connections=0)
LARGEST = 64 * 2**20
NOT_THERE = frozenset({401, 403, 404})
"""How the Hub answers about a repository that is private or does not exist; it does not say which."""


@dataclass(frozen=True)
class Listing:
    """repository → commit, → epoch seconds of its creation, → its tags."""

    commits: Mapping[str, str] = field(default_factory=dict)
    created: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)


class HubPages:
    """Raises HubUnavailable, Throttled (with the time to wait), UnknownModel or Refused. For any number of threads."""

    def __init__(self, hub: Hub):
        headers = {"User-Agent": "dayzero", "Accept": "application/json"}
        if hub.token:
            headers["Authorization"] = f"Bearer {hub.token.get_secret_value()}"
        # no connection is kept: firewalls drop what is idle between two looks, and the next look would pay for it
        self._client = httpx.Client(headers=headers, timeout=SILENCE_S, follow_redirects=True, limits=NONE_KEPT)
        self._endpoint = hub.endpoint.rstrip("/")
        self._rest_until = 0.0

    def rest_s(self) -> float:
        """Seconds until the Hub's window ends, when little is left of it: a card's own questions need room as well."""
        return max(0.0, self._rest_until - time.monotonic())

    def close(self) -> None:
        self._client.close()

    def organisation(self, name: str) -> Listing:
        """All that is public; empty when the Hub lists nothing under that name."""
        rows: list[dict] = []
        asked = [("author", name), *(("expand", key) for key in EXPAND)]
        url = f"{self._endpoint}/api/models?{httpx.QueryParams(asked)}"
        while url:
            status, body, links = self._ask(url, name)
            if status != 200:
                raise _refusal(status, name, self._endpoint)
            rows += body
            url = self._next(links)
        return _listing(row for row in rows if not row.get("private"))

    def one(self, name: str) -> Listing | None:
        """One repository, under the name that it has now; None: there is none, or we may not see it."""
        asked = httpx.QueryParams([("expand", key) for key in EXPAND])
        status, body, _ = self._ask(f"{self._endpoint}/api/models/{name}?{asked}", name)
        if status in NOT_THERE:
            return None
        if status != 200:
            raise _refusal(status, name, self._endpoint)
        return _listing([body])

    def names_now(self, names: Iterable[str]) -> dict[str, str]:
        """Old name → new name, of those that the Hub redirects."""
        found = {}
        for name in names:
            there = self.one(name)
            new = next(iter(there.commits), name) if there else name
            if new != name:
                found[name] = new
        return found

    def files(self, repo: str, revision: str) -> dict[str, str]:
        """Path → hash of its contents, at a commit; empty when it is not there."""
        status, body, _ = self._ask(f"{self._endpoint}/api/models/{repo}/revision/{revision}?blobs=true", repo)
        if status in NOT_THERE:
            return {}
        if status != 200:
            raise _refusal(status, repo, self._endpoint)
        files = body.get("siblings", ())
        return {f["rfilename"]: (f.get("lfs") or {}).get("sha256") or f.get("blobId") or "" for f in files}

    def _ask(self, url: str, name: str) -> tuple[int, Any, Mapping[str, Mapping[str, str]]]:
        """(status, decoded body of a 200, links)."""
        deadline, body = time.monotonic() + WHOLE_S, bytearray()
        try:
            with self._client.stream("GET", url) as answer:
                for piece in answer.iter_bytes():
                    body += piece
                    if time.monotonic() > deadline or len(body) > LARGEST:
                        raise HubUnavailable(f"The Hub's answer about {name} has no end.")
        except httpx.HTTPError as error:
            raise HubUnavailable(f"The Hub gave no answer about {name} ({type(error).__name__}).") from None
        if (rest := hub_answers.rest(answer.headers)) is not None:
            self._rest_until = time.monotonic() + rest
        if answer.status_code in hub_answers.PASSING:
            raise hub_answers.busy(answer.status_code, answer.headers)
        if answer.status_code != 200:
            return answer.status_code, None, {}
        try:
            return 200, json.loads(bytes(body)), answer.links
        except ValueError:
            raise HubUnavailable(f"What the Hub answered about {name} is not JSON.") from None

    def _next(self, links: Mapping[str, Mapping[str, str]]) -> str:
        """The next page, at the Hub itself: our token goes nowhere else."""
        url = links.get("next", {}).get("url", "")
        return url if url and urlsplit(url)[:2] == urlsplit(self._endpoint)[:2] else ""


def _listing(rows: Iterable[Mapping[str, Any]]) -> Listing:
    """Of rows as the Hub gives them; one without a commit is an empty shell and is not there yet."""
    good = [row for row in rows if row.get("sha") and "/" in str(row.get("id", ""))]
    return Listing(
        commits={row["id"]: row["sha"] for row in good},
        created={row["id"]: at for row in good if (at := _moment(row.get("createdAt"))) is not None},
        tags={row["id"]: tuple(row.get("tags") or ()) for row in good},
    )


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _refusal(status: int, name: str, endpoint: str) -> DayzeroError:
    if status in (401, 403):
        return hub_answers.bad_token(status)
    return UnknownModel(f"The Hub at {endpoint} answered {status} about {name}.", "Look at [watch] in the settings.")


def without_documents(files: Mapping[str, str]) -> dict[str, str]:
    """Of the files of a repository those that change what is served."""
    return {path: hash_ for path, hash_ in files.items() if not _document(path)}


DOCUMENTS = (".md", ".txt", ".pdf", ".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp", ".gitattributes", ".gitignore")
SPOKEN = frozenset({"merges.txt", "vocab.txt"})
"""Text files that a tokenizer reads."""


def _document(path: str) -> bool:
    name = path.rsplit("/", 1)[-1].lower()
    return name not in SPOKEN and (name.endswith(DOCUMENTS) or name.partition(".")[0] in ("license", "notice"))


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> Collection[str]:
    """Paths that differ between two commits and matter for what is served."""
    one, two = without_documents(before), without_documents(after)
    return sorted(path for path in {*one, *two} if one.get(path) != two.get(path))
