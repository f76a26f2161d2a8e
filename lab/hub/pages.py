"""Two plain HTML pages, so that a link in a Slack card leads somewhere: all models, and one model."""

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lab.hub.access import User, seen
from lab.hub.describe import Describer
from lab.hub.refusals import no_repo
from lab.hub.store import Store

STYLE = "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1d1c1d}" \
        "table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0}pre{background:#f6f6f6;padding:1rem;" \
        "overflow:auto}small{color:#666}"  # fmt: skip


def pages(store: Store, describer: Describer, visitor: Callable[[Request], User | None]) -> list[Route]:
    """Routes / and /org/name."""

    def front(request: Request) -> HTMLResponse:
        user = visitor(request)
        shown = sorted((r for r in store.all() if seen(r, user)), key=lambda r: r.created_at, reverse=True)
        rows = "".join(
            f'<tr><td><a href="/{escape(r.id)}">{escape(r.id)}</a></td><td>{r.created_at[:10]}</td></tr>' for r in shown
        )
        return _page("Models", f"<h1>Models</h1><table>{rows}</table>")

    def model(request: Request) -> HTMLResponse:
        repo = store.find(f"{request.path_params['org']}/{request.path_params['name']}")
        if repo is None or not seen(repo, user := visitor(request)):
            raise no_repo(repo is not None and user is not None)
        name = escape(repo.id)
        files = "".join(
            f'<tr><td><a href="/{name}/resolve/main/{escape(path)}">{escape(path)}</a></td>'
            f"<td>{content.size:,} bytes</td></tr>"
            for path, content in repo.head.files.items()
        )
        tags = escape(" · ".join(describer.tags(repo)))
        readme = escape((store.read(repo.head, "README.md") or b"").decode(errors="replace"))
        return _page(
            name,
            f"<h1>{name}</h1><p><small>{repo.head.sha} · {repo.created_at}<br>{tags}</small></p>"
            f"<table>{files}</table><pre>{readme}</pre>",
        )

    return [Route("/", front), Route("/{org}/{name}", model)]


def _page(title: str, body: str) -> HTMLResponse:
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>{body}'
    return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})
