"""Watches organisations on the Hub: one listing per organisation and look; what is new becomes a release."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bot.watch import difference, follow
from bot.watch.difference import Difference
from bot.watch.kinds import Kin, kin, silence
from bot.watch.listing import HubPages, Listing, changed_files
from lifecycle import queries, watching
from lifecycle.deployments import CACHING, NEEDS_SERVER
from lifecycle.errors import HubUnavailable, UnknownModel
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

BELIEVED_AFTER_S = 86400.0
"""An organisation that lists nothing at all for so long has really gone."""

ASKED_NAMES = 20
"""How many repositories that are gone are asked for a new name in one look."""


@dataclass(frozen=True)
class Before:
    """What the ledger knew before a look. `served`: deployed repository → path → hash."""

    first: bool
    known: Mapping[str, str]
    departed: Mapping[str, str]
    last_look: float | None
    served: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Seen:
    """What a look brought. `changed`: deployed repository with a new commit → the paths that changed."""

    listing: Listing
    found: Difference
    changed: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Dry:
    """What one repository would have been to us. `silence`: why it would not have been announced; empty: it would."""

    repo: str
    created: float
    kin: Kin
    silence: str


class HubWatch:
    """A look at `hub:org`, an organisation, or `hub:org/name`, one repository, in three parts: see bot.watch.rounds."""

    name = "hub"

    def __init__(self, settings: Settings, ledger: Ledger):
        self._pages = HubPages(settings.hub)
        self._watch = settings.watch
        self._ledger = ledger
        self.every_s = settings.watch.every_s

    @property
    def sources(self) -> list[str]:
        """Partners, too: their variants of our models are official."""
        watch = self._watch
        return [f"hub:{name}" for name in dict.fromkeys((*watch.organizations, *watch.models, *watch.partners))]

    def rest_s(self) -> float:
        return self._pages.rest_s()

    def close(self) -> None:
        self._pages.close()

    def before(self, source: str) -> Before:
        ledger = self._ledger
        first = watching.cursor(ledger, source) is None
        name = source.removeprefix("hub:")
        return Before(
            first,
            {} if first else watching.known(ledger, source),
            watching.departed(ledger, source),
            watching.last_look(ledger, source),
            {repo: files for repo, files in self._served().items() if repo == name or repo.startswith(f"{name}/")},
        )

    def fetch(self, source: str, before: Before) -> Seen:
        """HubUnavailable, Throttled (`retry_after_s` when the Hub said so), UnknownModel or Refused."""
        name = source.removeprefix("hub:")
        listing = self._one(name, before) if "/" in name else self._pages.organisation(name)
        found = difference.compare(before.known, listing.commits)
        if found.suspicious and self._ledger.clock() - (before.last_look or 0) < BELIEVED_AFTER_S:
            raise HubUnavailable(f"{name} suddenly lists no repository at all; that is not believed.")
        renamed = difference.by_commit(found, before.known)
        lost = found.gone - frozenset(renamed)
        if lost and set(found.new) - set(renamed.values()):
            renamed |= self._pages.names_now(sorted(lost)[:ASKED_NAMES])
        found = difference.told_apart(found, before.known, renamed)
        return Seen(listing, found, self._changed(found, before))

    def absorb(self, source: str, before: Before, seen: Seen) -> int:
        """Write down what a look brought, in one transaction; the number of releases found."""
        ledger, found = self._ledger, seen.found
        if before.first:
            since = ledger.clock() - self._watch.announce_since_days * 86400
            news = set(difference.first_look(seen.listing.commits, seen.listing.created, since))
        else:
            news = difference.news(found, before.departed)
        with ledger.write() as db:
            for repo in sorted(found.new):
                if repo in news:
                    self._found(repo, seen.listing, before.last_look, asked_for="/" in source)
                elif queries.release_of(db, "model", repo, found.new[repo]) is not None:
                    ledger.found("model", repo, found.new[repo])  # it is back as it was
            follow.follow(ledger, found, seen.changed)
            names = {new: seen.listing.commits[new] for new in found.renamed.values()}
            watching.remember(ledger, source, {**found.new, **found.moved, **names}, {*found.gone, *found.renamed})
            watching.looked(ledger, source, {"count": len(seen.listing.commits)}, 0)
        return len(news)

    def look(self, source: str) -> int:
        """One whole look, here and now."""
        before = self.before(source)
        return self.absorb(source, before, self.fetch(source, before))

    def dry_run(self, organisation: str, days: float) -> list[Dry]:
        """What the rules make of an organisation's repositories of the last days, newest first. Changes nothing."""
        listing = self._pages.organisation(organisation)
        since = self._ledger.clock() - days * 86400
        rows = []
        for repo, created in sorted(listing.created.items(), key=lambda pair: -pair[1]):
            if created >= since:
                found = kin(repo, listing.tags.get(repo, ()), self._watch.partners)
                rows.append(Dry(repo, created, found, silence(repo, found, self._watch)))
        return rows

    def _found(self, repo: str, listing: Listing, last_look: float | None, asked_for: bool) -> None:
        """A release, unless the rules want no such thing; whoever names one repository gets it whatever it is."""
        ledger = self._ledger
        found = kin(repo, listing.tags.get(repo, ()), self._watch.partners)
        if not asked_for and (why := silence(repo, found, self._watch)):
            ledger.note("note.ignored", detail={"repo": repo, "sentence": f"{repo} is not announced: {why}."})
            return
        notes = {"kind": found.kind, "base": found.base} if found.base else {}
        published = difference.published(listing.created.get(repo), last_look, ledger.clock())
        ledger.found("model", repo, listing.commits[repo], published_at=published, notes=notes)

    def _one(self, name: str, before: Before) -> Listing:
        listing = self._pages.one(name)
        if listing is None and not before.known:
            raise UnknownModel(f"The Hub shows us no {name}.", "Look at [watch] in the settings.")
        return listing or Listing()

    def _changed(self, found: Difference, before: Before) -> dict[str, Collection[str]]:
        old_name = {new: old for old, new in found.renamed.items()}
        changed = {}
        for repo, commit in found.moved.items():
            if (files := before.served.get(old_name.get(repo, repo))) is not None:
                changed[repo] = changed_files(files, self._pages.files(repo, commit))
        return changed

    def _served(self) -> dict[str, dict[str, str]]:
        db, served = self._ledger.connection, {}
        for deployment in queries.deployments(db):
            if deployment.release_id is not None and deployment.state in {CACHING, *NEEDS_SERVER}:
                facts = queries.release(db, deployment.release_id).facts
                files = {file.path: file.sha256 or file.blob_id or "" for file in (facts.files if facts else ())}
                served[follow.upstream(self._ledger, deployment)] = files
        return served
