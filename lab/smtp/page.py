"""The letters as a plain web page, and /_lab/ for other processes: messages (GET, DELETE) and refuse (POST)."""

from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from lab.smtp.letters import Letter, Letters
from lab.smtp.refusals import Refusal, Refusals

STYLE = "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1d1c1d}" \
        "td{padding:.2rem 1rem .2rem 0}pre{background:#f6f6f6;padding:1rem;white-space:pre-wrap}" \
        "img{max-width:100%}"  # fmt: skip
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"
SHOWN_INLINE = ("image/png", "image/jpeg", "image/gif")


def build_app(letters: Letters, refusals: Refusals) -> Starlette:
    """Routes over one sink's letters."""

    async def front(request: Request) -> Response:
        rows = "".join(
            f'<tr><td><a href="/letters/{letter.number}">{escape(letter.subject) or "(no subject)"}</a></td>'
            f"<td>{escape(', '.join(letter.recipients))}</td></tr>"
            for letter in reversed(letters.all())
        )
        return _page("Mail", f"<h1>Mail</h1><table>{rows or '<tr><td>No mail yet.</td></tr>'}</table>")

    async def one(request: Request) -> Response:
        letter = letters.find(request.path_params["number"])
        if letter is None:
            return _page("No such letter", "<p>No such letter.</p>", 404)
        files = "".join(_attachment(letter, place) for place in range(len(letter.attachments)))
        return _page(
            letter.subject,
            f"<p><a href='/'>all mail</a></p><h1>{escape(letter.subject)}</h1><p>From {escape(letter.sender)}<br>"
            f"To {escape(', '.join(letter.recipients))}</p><pre>{escape(letter.text)}</pre>{files}",
        )

    async def attachment(request: Request) -> Response:
        letter = letters.find(request.path_params["number"])
        place = request.path_params["place"]
        if letter is None or place >= len(letter.attachments):
            return Response(status_code=404)
        _, kind, data = letter.attachments[place]
        safe = kind if kind in SHOWN_INLINE else "application/octet-stream"
        return Response(data, media_type=safe, headers={"X-Content-Type-Options": "nosniff"})

    async def messages(request: Request) -> Response:
        if request.method == "DELETE":
            letters.clear()
        return JSONResponse([_row(letter) for letter in letters.all()])

    async def refuse(request: Request) -> Response:
        try:
            refusals.add(Refusal(**await request.json()))
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/", front),
            Route("/letters/{number:int}", one),
            Route("/letters/{number:int}/{place:int}", attachment),
            Route("/_lab/messages", messages, methods=["GET", "DELETE"]),
            Route("/_lab/refuse", refuse, methods=["POST"]),
        ]
    )


def _row(letter: Letter) -> dict[str, object]:
    return {
        "number": letter.number,
        "from": letter.sender,
        "to": list(letter.recipients),
        "subject": letter.subject,
        "text": letter.text,
        "attachments": [{"name": name, "type": kind, "size": len(data)} for name, kind, data in letter.attachments],
    }


def _attachment(letter: Letter, place: int) -> str:
    name, kind, data = letter.attachments[place]
    where = f"/letters/{letter.number}/{place}"
    if kind in SHOWN_INLINE:
        return f'<p><img src="{where}" alt="{escape(name)}"></p>'
    return f'<p><a href="{where}" download="{escape(name)}">{escape(name)}</a> ({len(data):,} bytes)</p>'


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    text = f"{head}<style>{STYLE}</style>{body}"
    return HTMLResponse(text, status, headers={"Content-Security-Policy": POLICY})
