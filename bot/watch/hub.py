"""Watches organisations on the Hub: one listing per organisation and look; what is new becomes a release."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from batch.hub_answers import retry_after
from bot.watch.difference import Difference, compare, first_look
from lifecycle import queries, releases, watching
from lifecycle.errors import HubUnavailable, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

EXPAND = ["sha", "createdAt", "lastModified", "private", "gated"]
WAITING = (releases.FOUND, releases.OFFERED, releases.SNOOZED)


@dataclass(frozen=True)
class Listing:
    """repository → commit, and repository → epoch seconds of its creation."""

    commits: dict[str, str]
    created: dict[str, float]


class HubWatch:
    """`look(source)` takes one look at one source: `hub:org` for an organisation, `hub:org/name` for one repository."""

    def __init__(self, settings: Settings, ledger: Ledger):
        token = settings.hub.token.get_secret_value() if settings.hub.token else False
        self._api = HfApi(endpoint=settings.hub.endpoint, token=token)
        self._watch = settings.watch
        self._ledger = ledger

    @property
    def sources(self) -> list[str]:
        return [f"hub:{name}" for name in (*self._watch.organizations, *self._watch.models)]

    def look(self, source: str) -> int:
        """One look; the number of releases found. HubUnavailable (try again after `retry_after_s`) or UnknownModel."""
        name = source.removeprefix("hub:")
        listing = self._one(name) if "/" in name else self._organisation(name)
        ledger = self._ledger
        first = watching.cursor(ledger, source) is None
        before = {} if first else watching.known(ledger, source)
        difference = compare(before, listing.commits)
        if difference.suspicious:
            raise HubUnavailable(f"{name} suddenly lists no repository at all; that is not believed.")
        since = ledger.clock() - self._watch.announce_since_days * 86400
        news = set(first_look(listing.commits, listing.created, since)) if first else set(difference.new)
        with ledger.write():
            for repo in sorted(news):
                ledger.found("model", repo, listing.commits[repo], published_at=ledger.clock())
            self._follow(difference)
            watching.remember(ledger, source, {**difference.new, **difference.moved}, set(difference.gone))
            watching.looked(ledger, source, {"count": len(listing.commits)}, 0)
        return len(news)

    def _follow(self, difference: Difference) -> None:
        """A release nobody has decided about yet moves along with its repository; one that was deleted is withdrawn."""
        if not difference.moved and not difference.gone:
            return
        for release in queries.releases_in(self._ledger.connection, *WAITING):
            if release.kind != "model" or release.repo not in {*difference.moved, *difference.gone}:
                continue
            self._ledger.move_release(release, "withdrawn", detail={"gone": release.repo in difference.gone})
            if (commit := difference.moved.get(release.repo)) is not None:
                published = release.published_at
                self._ledger.found("model", release.repo, commit, published_at=published, notes={"after": release.id})

    def _organisation(self, name: str) -> Listing:
        with _in_our_words(name):
            models = [m for m in self._api.list_models(author=name, expand=EXPAND) if m.sha]
        return Listing({m.id: m.sha for m in models}, {m.id: m.created_at.timestamp() for m in models if m.created_at})

    def _one(self, name: str) -> Listing:
        with _in_our_words(name):
            model = self._api.model_info(name, expand=EXPAND)
        return Listing({model.id: model.sha}, {model.id: model.created_at.timestamp() if model.created_at else 0})


@contextmanager
def _in_our_words(name: str) -> Iterator[None]:
    try:
        yield
    except RepositoryNotFoundError:
        raise UnknownModel(f"The Hub knows no {name}.", "Look at [watch] in the settings.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        wait = retry_after(error.response.headers)
        raise HubUnavailable(f"The Hub answered {status} about {name}.", retry_after_s=wait) from None
    except httpx.HTTPError as error:
        raise HubUnavailable(f"The Hub gave no answer about {name} ({type(error).__name__}).") from None
