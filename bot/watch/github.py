"""Watches GitHub releases of the frameworks. A 304 costs nothing when a token is sent, so the ETag is kept."""

from email.utils import parsedate_to_datetime

import httpx

from lifecycle import watching
from lifecycle.errors import HubUnavailable, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

PAGE = 30
TIMEOUT_S = 20


class GithubWatch:
    """`look(source)` takes one look at `github:owner/name`."""

    def __init__(self, settings: Settings, ledger: Ledger):
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if settings.github.token:
            headers["Authorization"] = f"Bearer {settings.github.token.get_secret_value()}"
        self._client = httpx.Client(base_url=settings.github.endpoint, headers=headers, timeout=TIMEOUT_S)
        self._repositories = settings.github.repositories
        self._ledger = ledger

    @property
    def sources(self) -> list[str]:
        return [f"github:{name}" for name in self._repositories]

    def close(self) -> None:
        self._client.close()

    def look(self, source: str) -> int:
        """One look; the number of releases found. HubUnavailable or UnknownModel."""
        name = source.removeprefix("github:")
        cursor = watching.cursor(self._ledger, source)
        etag = {"If-None-Match": cursor["etag"]} if cursor and cursor.get("etag") else {}
        try:
            answer = self._client.get(f"/repos/{name}/releases", params={"per_page": PAGE}, headers=etag)
        except httpx.HTTPError as error:
            raise HubUnavailable(f"GitHub gave no answer about {name} ({type(error).__name__}).") from None
        if answer.status_code == 304:
            return 0
        if answer.status_code == 404:
            raise UnknownModel(f"GitHub knows no repository {name}.", "Look at github.repositories in the settings.")
        if answer.status_code != 200:
            raise HubUnavailable(f"GitHub answered {answer.status_code} about {name}.", retry_after_s=_wait(answer))
        found = 0
        with self._ledger.write():
            before = watching.known(self._ledger, source)
            published = [r for r in answer.json() if not r["draft"]]
            for release in reversed(published):
                tag = release["tag_name"]
                notes = {
                    "title": release["name"] or tag,
                    "url": release["html_url"],
                    "prerelease": release["prerelease"],
                }
                if cursor is not None and tag not in before:
                    found += self._ledger.found("framework", name, tag, notes=notes)
            watching.remember(self._ledger, source, {r["tag_name"]: str(r["id"]) for r in published}, set())
            watching.looked(self._ledger, source, {"etag": answer.headers.get("etag", "")}, 0)
        return found


def _wait(answer: httpx.Response) -> float | None:
    """Seconds to wait by GitHub's own headers: Retry-After, else the reset of an exhausted limit."""
    if answer.headers.get("retry-after", "").isdigit():
        return float(answer.headers["retry-after"])
    if answer.headers.get("x-ratelimit-remaining") == "0" and answer.headers.get("x-ratelimit-reset", "").isdigit():
        return max(1.0, float(answer.headers["x-ratelimit-reset"]) - _servers_time(answer))
    return None


def _servers_time(answer: httpx.Response) -> float:
    """The server's own clock, so that a wrong clock here does not matter."""
    return parsedate_to_datetime(answer.headers["date"]).timestamp()
