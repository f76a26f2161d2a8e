"""GET /api/models: filter, sort, one page, and a cursor that stays true while repositories come and go."""

import base64
import json
from collections.abc import Callable
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from lab.hub.access import User, seen
from lab.hub.describe import FULL, LISTED, Describer, checked_expand
from lab.hub.refusals import Refusal
from lab.hub.store import Repo

PAGE_LIMIT = 1000
SORTS: dict[str, Callable[[Repo], str | int]] = {
    "createdAt": lambda repo: repo.created_at,
    "lastModified": lambda repo: repo.last_modified,
    "downloads": lambda repo: repo.meta.downloads,
    "likes": lambda repo: repo.meta.likes,
    "trendingScore": lambda repo: repo.meta.trending_score,
}


def page(
    repos: list[Repo], query: QueryParams, user: User | None, describer: Describer
) -> tuple[list[dict[str, object]], str | None]:
    """One page of the list and the query string of the next one. Refusal 400 for what the Hub wouldn't understand."""
    expand = checked_expand(query.getlist("expand"))
    key, limit = _sort(query), _limit(query)
    descending = query.get("direction", "-1") == "-1"
    chosen = [repo for repo in repos if seen(repo, user) and _wanted(repo, query, describer)]
    chosen.sort(key=lambda repo: repo.id)
    chosen.sort(key=key, reverse=descending)
    if cursor := query.get("cursor"):
        chosen = _after(chosen, cursor, key, descending)
    rows = [describer.describe(repo, repo.head, expand or _keys(query)) for repo in chosen[:limit]]
    if len(chosen) <= limit:
        return rows, None
    rest = [(name, value) for name, value in query.multi_items() if name != "cursor"]
    last = chosen[limit - 1]
    return rows, urlencode([*rest, ("cursor", _cursor(key(last), last.id))])


def _keys(query: QueryParams) -> frozenset[str]:
    keys = FULL if _true(query, "full") else LISTED
    return keys | {name for name in ("cardData", "config") if _true(query, name)}


def _true(query: QueryParams, name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _sort(query: QueryParams) -> Callable[[Repo], str | int]:
    name = query.get("sort") or "trendingScore"
    if name not in SORTS:
        raise Refusal(400, "", f'"sort" must be one of [{", ".join(SORTS)}], not {name}')
    return SORTS[name]


def _limit(query: QueryParams) -> int:
    text = query.get("limit") or str(PAGE_LIMIT)
    if not text.isdecimal() or int(text) < 1:
        raise Refusal(400, "", '"limit" must be a positive number')
    return min(int(text), PAGE_LIMIT)


def _wanted(repo: Repo, query: QueryParams, describer: Describer) -> bool:
    if (author := query.get("author")) and repo.id.split("/")[0].lower() != author.lower():
        return False
    if any(text.lower() not in repo.id.lower() for text in query.getlist("search")):
        return False
    if (gated := query.get("gated")) and bool(repo.meta.gated) != (gated.lower() == "true"):
        return False
    if (pipeline := query.get("pipeline_tag")) and describer.pipeline_tag(repo) != pipeline:
        return False
    asked = [tag for value in query.getlist("filter") for tag in value.split(",")]
    return not asked or set(asked) <= set(describer.tags(repo))


def _cursor(value: str | int, repo_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, repo_id]).encode()).decode()


def _after(repos: list[Repo], cursor: str, key: Callable[[Repo], str | int], descending: bool) -> list[Repo]:
    try:
        value, repo_id = json.loads(base64.urlsafe_b64decode(cursor))
        if descending:
            return [repo for repo in repos if key(repo) < value or (key(repo) == value and repo.id > repo_id)]
        return [repo for repo in repos if key(repo) > value or (key(repo) == value and repo.id > repo_id)]
    except (ValueError, TypeError) as error:
        raise Refusal(400, "", "Invalid cursor") from error
