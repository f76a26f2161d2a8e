"""The REST routes: releases, files, the repository itself, repository_dispatch and the rate limit."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lab.github.rates import Rates
from lab.github.records import Release, as_json, latest, visible
from lab.github.shelf import Shelf

DOCS = "https://docs.github.com/rest"
TOKENS = {"ghp_lab_bot": "bot"}
"""Token → login; whoever has a token may write here."""


class Problem(Exception):
    """An answer that is no, in GitHub's shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class GitHubApp:
    """The endpoints over one shelf."""

    def __init__(self, shelf: Shelf, rates: Rates, tokens: Mapping[str, str]) -> None:
        self.shelf, self.rates, self.tokens = shelf, rates, tokens

    def starlette(self, more: list[Route]) -> Starlette:
        """The application, with `more` routes before its own."""
        repo = "/repos/{owner}/{name}"
        routes = [
            Route("/rate_limit", self.rate_limit),
            Route(repo, self.repo),
            Route(repo + "/releases", self.releases),
            Route(repo + "/releases/latest", self.latest),
            Route(repo + "/releases/tags/{tag:path}", self.by_tag),
            Route(repo + "/releases/{number:int}", self.by_number),
            Route(repo + "/contents/{path:path}", self.contents),
            Route(repo + "/dispatches", self.dispatch, methods=["POST"]),
            Route("/{owner}/{name}/releases/tag/{tag:path}", self.page),
        ]
        return Starlette(routes=[*more, *routes], exception_handlers={Problem: self._problem, 404: self._missing})

    async def releases(self, request: Request) -> Response:
        login = self._caller(request)
        per_page = _number(request, "per_page", 30, 100)
        page = _number(request, "page", 1, 10_000)
        shown = visible(self.shelf.releases, self._repo(request), drafts=login is not None)
        rows = [self._row(request, release) for release in shown[(page - 1) * per_page : page * per_page]]
        return self._answer(request, rows, _links(request, page, per_page, len(shown)))

    async def latest(self, request: Request) -> Response:
        return self._one(request, latest(self.shelf.releases, self._repo(request)))

    async def by_tag(self, request: Request) -> Response:
        shown = visible(self.shelf.releases, self._repo(request), drafts=False)
        return self._one(request, next((r for r in shown if r.tag == request.path_params["tag"]), None))

    async def by_number(self, request: Request) -> Response:
        shown = visible(self.shelf.releases, self._repo(request), drafts=self._caller(request) is not None)
        return self._one(request, next((r for r in shown if r.id == request.path_params["number"]), None))

    async def repo(self, request: Request) -> Response:
        repo = self._repo(request)
        owner, name = repo.split("/")
        shown = {"id": 1, "name": name, "full_name": repo, "private": False, "owner": {"login": owner},
                 "url": f"{_base(request)}/repos/{repo}", "default_branch": "main"}  # fmt: skip
        return self._answer(request, shown)

    async def contents(self, request: Request) -> Response:
        """A file at a tag: its bytes for whoever accepts them raw, else GitHub's JSON about it."""
        path, ref = request.path_params["path"], request.query_params.get("ref", "main")
        text = self.shelf.file(self._repo(request), ref, path)
        if text is None:
            raise Problem(404, "Not Found")
        if "raw" in request.headers.get("accept", ""):
            login = self._caller(request)
            self.rates.charge(login)
            media = "application/vnd.github.raw+json; charset=utf-8"
            return Response(text.encode(), media_type=media, headers=self.rates.headers(login))
        content = base64.b64encode(text.encode()).decode()
        about = {"type": "file", "path": path, "size": len(text.encode()), "encoding": "base64", "content": content}
        return self._answer(request, about)

    async def rate_limit(self, request: Request) -> Response:
        numbers = self.rates.numbers(self._caller(request, free=True))
        return self._json(request, {"resources": {"core": numbers}, "rate": numbers})

    async def dispatch(self, request: Request) -> Response:
        login, repo = self._caller(request), self._repo(request)
        if login is None:
            raise Problem(404, "Not Found")
        try:
            asked = await request.json()
        except ValueError as error:
            raise Problem(400, "Problems parsing JSON") from error
        event_type = asked.get("event_type") if isinstance(asked, dict) else None
        payload = asked.get("client_payload", {}) if isinstance(asked, dict) else None
        if not isinstance(event_type, str) or not 0 < len(event_type) <= 100:
            raise Problem(422, "Invalid request.\n\n\"event_type\" wasn't supplied, or isn't 1 to 100 characters.")
        if not isinstance(payload, dict) or len(payload) > 10:
            raise Problem(422, 'Invalid request.\n\n"client_payload" must be an object of at most 10 properties.')
        self.rates.charge(login)
        self.shelf.record(repo, event_type, payload, login)
        return Response(status_code=204, headers=self.rates.headers(login))

    async def page(self, request: Request) -> Response:
        tag = request.path_params["tag"]
        release = self.shelf.find(f"{request.path_params['owner']}/{request.path_params['name']}", tag)
        if release is None or release.draft:
            raise Problem(404, "Not Found")
        title = escape(f"{release.repo} {release.name}")
        text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        text += f"<p>{release.published_at}</p><pre>{escape(release.body)}</pre>"
        return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'none'"})

    def _caller(self, request: Request, free: bool = False) -> str | None:
        """The login, None for the public; refuses unknown tokens and callers who have spent their hour."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        login = self.tokens.get(token) if kind.lower() in ("token", "bearer") else None
        if kind and login is None:
            raise Problem(401, "Bad credentials")
        if not free and self.rates.spent(login):
            raise Problem(403, f"API rate limit exceeded for {login or '127.0.0.1'}.")
        return login

    def _repo(self, request: Request) -> str:
        self._caller(request)
        repo = f"{request.path_params['owner']}/{request.path_params['name']}"
        if repo not in self.shelf.repos:
            raise Problem(404, "Not Found")
        return repo

    def _row(self, request: Request, release: Release) -> dict[str, object]:
        return as_json(release, _base(request))

    def _one(self, request: Request, release: Release | None) -> Response:
        if release is None:
            raise Problem(404, "Not Found")
        return self._answer(request, self._row(request, release))

    def _answer(self, request: Request, data: object, headers: Mapping[str, str] | None = None) -> Response:
        """200, or 304 when the caller has these very bytes; a 304 is free for those with a token."""
        login = self._caller(request)
        body = json.dumps(data, separators=(",", ":")).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        told = request.headers.get("if-none-match", "")
        unchanged = etag.removeprefix("W/") in [tag.strip().removeprefix("W/") for tag in told.split(",")]
        if not (unchanged and login):
            self.rates.charge(login)
        shown = {"ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60", **(headers or {})}
        shown |= {"Vary": "Accept, Authorization, Cookie, X-GitHub-OTP", **self.rates.headers(login)}
        if unchanged:
            return Response(status_code=304, headers=shown)
        return Response(body, media_type="application/json; charset=utf-8", headers=shown)

    def _json(self, request: Request, data: object, status: int = 200) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        login = self.tokens.get(token) if kind else None
        headers = self.rates.headers(login)
        return Response(json.dumps(data), status, headers, media_type="application/json; charset=utf-8")

    def _problem(self, request: Request, problem: Problem) -> Response:
        body = {"message": problem.message, "documentation_url": DOCS, "status": str(problem.status)}
        return self._json(request, body, problem.status)

    def _missing(self, request: Request, _: Exception) -> Response:
        return self._problem(request, Problem(404, "Not Found"))


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, "")
    return min(max(1, int(text)), most) if text.isdecimal() else default


def _links(request: Request, page: int, per_page: int, total: int) -> dict[str, str]:
    last = max(1, math.ceil(total / per_page))
    pages = {}
    if page > 1:
        pages |= {"prev": min(page - 1, last), "first": 1}
    if page < last:
        pages |= {"next": page + 1, "last": last}
    links = [f'<{request.url.include_query_params(page=number)}>; rel="{rel}"' for rel, number in pages.items()]
    return {"Link": ", ".join(links)} if links else {}
