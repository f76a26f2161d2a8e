"""Releases as GitHub knows them, and which of them a caller gets to see."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One release. Times are UTC texts without fractions; a draft has no `published_at`."""

    id: int
    repo: str
    tag: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    created_at: str
    published_at: str | None
    updated_at: str


@dataclass(frozen=True)
class Dispatch:
    """One repository_dispatch somebody sent."""

    repo: str
    event_type: str
    client_payload: Mapping[str, object]
    by: str


def visible(releases: Iterable[Release], repo: str, drafts: bool) -> list[Release]:
    """A repository's releases, newest first; drafts only for those who may write."""
    mine = [release for release in releases if release.repo == repo and (drafts or not release.draft)]
    return sorted(mine, key=lambda release: (release.created_at, release.id), reverse=True)


def latest(releases: Iterable[Release], repo: str) -> Release | None:
    """The newest that is neither draft nor prerelease: what /releases/latest means."""
    return next((release for release in visible(releases, repo, drafts=False) if not release.prerelease), None)


def as_json(release: Release, base: str) -> dict[str, object]:
    """A release as the REST API writes it; `base` is the server's URL without a final slash."""
    api = f"{base}/repos/{release.repo}/releases/{release.id}"
    return {
        "url": api,
        "assets_url": f"{api}/assets",
        "upload_url": f"{api}/assets{{?name,label}}",
        "html_url": f"{base}/{release.repo}/releases/tag/{release.tag}",
        "id": release.id,
        "node_id": f"RE_{release.id}",
        "tag_name": release.tag,
        "target_commitish": "main",
        "name": release.name,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "immutable": False,
        "created_at": release.created_at,
        "updated_at": release.updated_at,
        "published_at": release.published_at,
        "author": {"login": "releaser", "id": 1, "type": "Bot", "site_admin": False},
        "assets": [],
        "tarball_url": f"{base}/repos/{release.repo}/tarball/{release.tag}",
        "zipball_url": f"{base}/repos/{release.repo}/zipball/{release.tag}",
        "body": release.body,
    }
