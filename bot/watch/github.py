"""Watches GitHub releases of the frameworks. A 304 costs nothing when a token is sent, so the ETag is kept."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from bot.watch.evidence import SUPPORTED, all_evidence, engine_of
from bot.watch.listing import NONE_KEPT
from lifecycle import watching
from lifecycle.errors import HubUnavailable, Throttled, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

Waiting = Callable[[str], tuple[tuple[str, str], ...]]
"""Engine → (deployment, architecture) of those that a newer one may help."""

PAGE = 30
TIMEOUT_S = 20.0


def nobody(engine: str) -> tuple[tuple[str, str], ...]:
    return ()


@dataclass(frozen=True)
class Before:
    """What the ledger knew before a look. `known`: tag → number of the release; `etag`: of the last answer."""

    first: bool
    known: Mapping[str, str]
    etag: str
    waiting: tuple[tuple[str, str], ...] = ()  # (deployment, architecture) that a newer engine may help


@dataclass(frozen=True)
class Seen:
    """`releases`: those that are published, oldest first, as GitHub writes them; None: nothing has changed."""

    releases: list[Mapping[str, Any]] | None
    etag: str = ""
    evidence: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # tag → deployment → sentence


class GithubWatch:
    """A look at `github:owner/name` in three parts: see bot.watch.rounds."""

    name = "github"

    def __init__(self, settings: Settings, ledger: Ledger, waiting: Waiting = nobody):
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if settings.github.token:
            headers["Authorization"] = f"Bearer {settings.github.token.get_secret_value()}"
        self._client = httpx.Client(
            base_url=settings.github.endpoint, headers=headers, timeout=TIMEOUT_S, limits=NONE_KEPT
        )
        self._repositories = settings.github.repositories
        self._ledger = ledger
        self._waiting = waiting
        self._rest_until = 0.0
        self.every_s = settings.github.every_s

    @property
    def sources(self) -> list[str]:
        return [f"github:{name}" for name in self._repositories]

    def rest_s(self) -> float:
        return max(0.0, self._rest_until - time.monotonic())

    def close(self) -> None:
        self._client.close()

    def before(self, source: str) -> Before:
        cursor = watching.cursor(self._ledger, source)
        return Before(
            cursor is None,
            watching.known(self._ledger, source),
            (cursor or {}).get("etag", ""),
            self._waiting(engine_of(source)),
        )

    def fetch(self, source: str, before: Before) -> Seen:
        """HubUnavailable, Throttled or UnknownModel."""
        name = source.removeprefix("github:")
        known = {"If-None-Match": before.etag} if before.etag else {}
        answer = self._get(f"/repos/{name}/releases", name, headers=known, params={"per_page": PAGE})
        if answer.status_code == 304:
            return Seen(None, before.etag)
        published = [release for release in reversed(answer.json()) if not release["draft"]]
        news = [] if before.first else [release for release in published if release["tag_name"] not in before.known]
        found = {release["tag_name"]: self._evidence(name, release, before) for release in news if before.waiting}
        return Seen(published, answer.headers.get("etag", ""), found)

    def absorb(self, source: str, before: Before, seen: Seen) -> int:
        """Write down what a look brought, in one transaction; the number of releases found."""
        ledger, name, found = self._ledger, source.removeprefix("github:"), 0
        with ledger.write():
            for release in seen.releases or ():
                if not before.first and release["tag_name"] not in before.known:
                    notes = {
                        "title": release["name"] or release["tag_name"],
                        "url": release["html_url"],
                        "prerelease": release["prerelease"],
                    }
                    if found_in := seen.evidence.get(release["tag_name"]):
                        notes["evidence"] = dict(found_in)
                    found += ledger.found("framework", name, release["tag_name"], notes=notes)
            tags = {release["tag_name"]: str(release["id"]) for release in seen.releases or ()}
            news = {tag: number for tag, number in tags.items() if before.known.get(tag) != number}
            watching.remember(ledger, source, news, ())
            watching.looked(ledger, source, {"etag": seen.etag}, 0)
        return found

    def look(self, source: str) -> int:
        """One whole look, here and now."""
        before = self.before(source)
        return self.absorb(source, before, self.fetch(source, before))

    def _evidence(self, name: str, release: Mapping[str, Any], before: Before) -> Mapping[str, str]:
        """What this release says about the deployments that wait; the list of architectures is asked for only then."""
        tag, path = release["tag_name"], SUPPORTED.get(engine_of(name), "")
        listed = {}
        if path:
            raw = {"Accept": "application/vnd.github.raw+json"}
            with contextlib.suppress(UnknownModel):  # the file has another place in this release
                listed[path] = self._get(f"/repos/{name}/contents/{path}", name, headers=raw, params={"ref": tag}).text
        return all_evidence(name, tag, release["body"] or "", listed, before.waiting)

    def _get(self, path: str, name: str, **more: Any) -> httpx.Response:
        """A 200 or a 304."""
        try:
            answer = self._client.get(path, **more)
        except httpx.HTTPError as error:
            raise HubUnavailable(f"GitHub gave no answer about {name} ({type(error).__name__}).") from None
        wait = _wait(answer)
        if answer.status_code in (200, 304):
            if wait is not None:
                self._rest_until = time.monotonic() + wait
            return answer
        if answer.status_code == 404:
            raise UnknownModel(f"GitHub knows no repository {name}.", "Look at github.repositories in the settings.")
        if wait is not None or answer.status_code == 429:
            advice = "" if "authorization" in self._client.headers else "With a GITHUB_TOKEN it would be 5,000 an hour."
            raise Throttled(f"GitHub asks us to slow down (HTTP {answer.status_code}).", advice, wait)
        raise HubUnavailable(f"GitHub answered {answer.status_code} about {name}.")


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
