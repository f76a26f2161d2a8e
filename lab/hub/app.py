"""The Hub's routes, over a Store. Endpoints are plain functions, run by Starlette in threads: hashing takes long."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lab.hub import listing, tree
from lab.hub.access import User, check_content, seen, user_of
from lab.hub.body import file_response
from lab.hub.commits import Commit
from lab.hub.describe import PAGE, Describer, checked_expand, mongo_id
from lab.hub.pages import pages
from lab.hub.refusals import Refusal, no_entry, no_repo, no_revision
from lab.hub.store import Repo, Store

READ = ["GET", "HEAD"]
MODEL = "/api/models/{org}/{name}"


class Hub:
    """What the endpoints share. `cdn`: large files are redirected to another host name, as the real Hub does."""

    def __init__(self, store: Store, tokens: Mapping[str, User], cdn: bool) -> None:
        self.store, self.tokens, self.cdn = store, tokens, cdn
        self.describer = Describer(store)

    def routes(self) -> list[Route]:
        return [
            Route("/api/whoami-v2", self.whoami),
            Route("/api/models", self.models),
            Route(MODEL, self.model),
            Route(MODEL + "/revision/{revision:path}", self.model),
            Route(MODEL + "/tree/{rest:path}", self.tree),
            Route(MODEL + "/commits/{revision:path}", self.commits),
            Route(MODEL + "/refs", self.refs),
            Route("/{org}/{name}/resolve/{rest:path}", self.resolve, methods=READ),
            Route("/_cdn/{sha256}", self.from_cdn, methods=READ),
            *pages(self.store, self.describer, self.visitor),
        ]

    def visitor(self, request: Request) -> User | None:
        """Who asks; an unknown token is refused."""
        return user_of(request.headers.get("authorization"), self.tokens)

    def whoami(self, request: Request) -> Response:
        user = self.visitor(request)
        if user is None:
            raise Refusal(401, "", "Invalid username or password.")
        return JSONResponse(
            {
                "type": "user",
                "id": mongo_id(user.name),
                "name": user.name,
                "fullname": user.name,
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": {"displayName": "lab", "role": "read"}},
            }
        )

    def models(self, request: Request) -> Response:
        user = self.visitor(request)
        rows, rest = listing.page(self.store.all(), request.query_params, user, self.describer)
        link = {"Link": f'<{request.base_url}api/models?{rest}>; rel="next"'} if rest else {}
        return JSONResponse(rows, headers=link)

    def model(self, request: Request) -> Response:
        repo = self._repo(request)
        commit = self._commit(repo, request.path_params.get("revision", "main"))
        expand = checked_expand(request.query_params.getlist("expand"))
        blobs = request.query_params.get("blobs", "").lower() in ("true", "1")
        return JSONResponse(self.describer.describe(repo, commit, expand or PAGE, blobs))

    def tree(self, request: Request) -> Response:
        repo = self._repo(request)
        revision, folder = _revision_and_path(request.path_params["rest"])
        query = request.query_params
        recursive, expand = (query.get(name, "").lower() in ("true", "1") for name in ("recursive", "expand"))
        rows = tree.entries(self._commit(repo, revision), folder, recursive, expand)
        start, limit = int(query.get("cursor") or 0), 1000
        link = {}
        if start + limit < len(rows):
            rest = request.url.include_query_params(cursor=start + limit)
            link = {"Link": f'<{rest}>; rel="next"'}
        return JSONResponse(rows[start : start + limit], headers=link)

    def commits(self, request: Request) -> Response:
        repo = self._repo(request)
        until = self._commit(repo, request.path_params["revision"])
        past = self.store.commits(repo)
        past = past[next(n for n, commit in enumerate(past) if commit.sha == until.sha) :]
        return JSONResponse(
            [{"id": c.sha, "title": "Upload", "message": "", "date": c.date, "authors": []} for c in past]
        )

    def refs(self, request: Request) -> Response:
        repo = self._repo(request)
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.sha}
        return JSONResponse({"branches": [main], "tags": [], "converts": []})

    def resolve(self, request: Request) -> Response:
        repo = self._repo(request)
        check_content(repo, self.visitor(request))
        revision, path = _revision_and_path(request.path_params["rest"])
        commit = self._commit(repo, revision)
        content = commit.files.get(path)
        file = self.store.blob(content, path) if content else None
        if content is None or file is None:
            refusal = no_entry(path).response()
            refusal.headers["X-Repo-Commit"] = commit.sha
            return refusal
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{content.etag}"'}
        if content.lfs and self.cdn:
            # the client follows a redirect to the same host and would lose these headers: the CDN needs another name
            headers |= {"X-Linked-ETag": headers.pop("ETag"), "X-Linked-Size": str(content.size)}
            elsewhere = f"http://localhost:{request.url.port}/_cdn/{content.sha256}"
            return RedirectResponse(elsewhere, 302, headers=headers)
        return _file(file, content.size, request, headers)

    def from_cdn(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        file = self.store.blob_named(sha256)
        return _file(file, file.stat().st_size, request, {"ETag": '"cdn"'}) if file else Response(status_code=403)

    def _repo(self, request: Request) -> Repo:
        user = self.visitor(request)
        repo_id = f"{request.path_params['org']}/{request.path_params['name']}"
        repo = self.store.find(repo_id)
        moved = self.store.renamed(repo_id) if repo is None else None
        target = self.store.find(moved) if moved else None
        if target and seen(target, user):
            query = f"?{request.url.query}" if request.url.query else ""
            raise _Moved(quote(request.url.path.replace(repo_id, target.id, 1)) + query)
        if repo is None or not seen(repo, user):
            raise no_repo(user is not None)
        if repo.meta.disabled:
            raise Refusal(403, "", "Access to this resource is disabled.")
        return repo

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = self.store.commit(repo, revision)
        if commit is None:
            raise no_revision(revision)
        return commit


class _Moved(Exception):
    """The repository has another name now; `location` is where to ask."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def build_app(hub: Hub, more: list[Route]) -> Starlette:
    """The application, with `more` routes (the control ones) before the Hub's."""
    answers: dict[type[Exception], Callable[[Request, Exception], Response]] = {
        Refusal: lambda _, refusal: refusal.response(),
        _Moved: lambda _, moved: RedirectResponse(moved.location, 307),
        ValueError: lambda _, error: JSONResponse({"error": str(error)}, 500),
        HTTPException: lambda _, error: JSONResponse({"error": error.detail}, error.status_code),
    }
    return Starlette(routes=[*more, *hub.routes()], exception_handlers=answers)


def _revision_and_path(rest: str) -> tuple[str, str]:
    branch, slash, path = rest.partition("refs/heads/main")
    if slash and not branch and path[:1] in ("", "/"):
        return "main", path[1:]
    revision, _, path = rest.partition("/")
    return revision, path


def _file(file: Path, size: int, request: Request, headers: dict[str, str]) -> Response:
    return file_response(file, size, request.headers.get("range"), headers, request.method == "HEAD")
