"""Watches organisations on the Hub: one listing per organisation and look; what is new becomes a release."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from batch.hub_answers import retry_after
from bot.watch.difference import Difference, compare, first_look
from bot.watch.kinds import Kin, kin, silence
from lifecycle import queries, releases, watching
from lifecycle.errors import HubUnavailable, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

EXPAND = ["sha", "createdAt", "lastModified", "private", "gated", "tags"]
WAITING = (releases.FOUND, releases.OFFERED, releases.SNOOZED)


@dataclass(frozen=True)
class Listing:
    """repository → commit, → epoch seconds of its creation, → its tags."""

    commits: dict[str, str]
    created: dict[str, float]
    tags: dict[str, list[str]]


@dataclass(frozen=True)
class Dry:
    """What one repository would have been to us. `silence`: why it would not have been announced; empty: it would."""

    repo: str
    created: float
    kin: Kin
    silence: str


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
                self._found(repo, listing, asked_for="/" in name)
            self._follow(difference)
            watching.remember(ledger, source, {**difference.new, **difference.moved}, set(difference.gone))
            watching.looked(ledger, source, {"count": len(listing.commits)}, 0)
        return len(news)

    def _found(self, repo: str, listing: Listing, asked_for: bool) -> None:
        """A release, unless the rules want no such thing; whoever names one repository gets it whatever it is."""
        ledger = self._ledger
        found = kin(repo, listing.tags.get(repo, ()), self._watch.partners)
        if not asked_for and (why := silence(repo, found, self._watch)):
            ledger.note("note.ignored", detail={"repo": repo, "sentence": f"{repo} is not announced: {why}."})
            return
        notes = {"kind": found.kind, "base": found.base} if found.base else {}
        ledger.found("model", repo, listing.commits[repo], published_at=ledger.clock(), notes=notes)

    def dry_run(self, organisation: str, days: float) -> list[Dry]:
        """What the rules make of an organisation's repositories of the last days, newest first. Changes nothing."""
        listing = self._organisation(organisation)
        since = self._ledger.clock() - days * 86400
        rows = []
        for repo, created in sorted(listing.created.items(), key=lambda pair: -pair[1]):
            if created >= since:
                found = kin(repo, listing.tags.get(repo, ()), self._watch.partners)
                rows.append(Dry(repo, created, found, silence(repo, found, self._watch)))
        return rows

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
                notes = {"after": release.id} | {k: release.notes[k] for k in ("kind", "base") if k in release.notes}
                self._ledger.found("model", release.repo, commit, published_at=published, notes=notes)

    def _organisation(self, name: str) -> Listing:
        with _in_our_words(name):
            models = [m for m in self._api.list_models(author=name, expand=EXPAND) if m.sha]
        return _listing(models)

    def _one(self, name: str) -> Listing:
        with _in_our_words(name):
            model = self._api.model_info(name, expand=EXPAND)
        return _listing([model])


def _listing(models: list[ModelInfo]) -> Listing:
    return Listing(
        commits={m.id: m.sha for m in models},
        created={m.id: m.created_at.timestamp() for m in models if m.created_at},
        tags={m.id: m.tags or [] for m in models},
    )


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
