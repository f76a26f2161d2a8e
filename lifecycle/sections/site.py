"""Where things live."""

from pathlib import Path

from lifecycle.sections.section import Section


class Site(Section):
    """Where things live. `state` must be on a local disk of the service host; `shared` on the shared file system."""

    name: str = "our cluster"
    state: Path = Path("state")
    shared: Path = Path("shared")
