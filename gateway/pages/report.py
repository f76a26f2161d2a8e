"""GET /reports/<deployment>/<run>/<seal>: a report of the Gauntlet, for whoever has its link. It shows what a model
said, so it runs apart from everything else here: no cookie, no storage, no request, nobody's frame."""

from pathlib import Path

from lifecycle.reports import find

SECURITY = (
    (
        b"content-security-policy",
        b"sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
        b" img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""The report's own policy, in its head, allows one script only, by its hash; both count."""


def read(shared: Path, rest: str) -> bytes | None:
    """The page; None: there is no such report, or this is no link to one."""
    try:
        found = find(shared, rest)
        return None if found is None else found.read_bytes()
    except OSError:
        return None
