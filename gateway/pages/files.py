"""The pages' files: templates, styles and scripts, all our own; nothing is loaded from elsewhere."""

from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
KINDS = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8"}

SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""Headers of every page: no script but ours, no request but to us, in nobody's frame."""


@cache
def asset(name: str) -> tuple[bytes, bytes] | None:
    """(content type, bytes) of a file that pages load; None: there is no such file."""
    kind = KINDS.get(Path(name).suffix)
    known = kind is not None and name in {path.name for path in FOLDER.iterdir()}
    return (kind, (FOLDER / name).read_bytes()) if known else None


def page(name: str, **values: Any) -> bytes:
    """A template as HTML; whatever is put into it is escaped."""
    return _templates().get_template(f"{name}.html.jinja").render(root="./", **values).encode()


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # only who looks at a page pays for it

    return Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
