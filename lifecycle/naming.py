"""Names that must be safe as a folder, a Slurm job name and a URL component at once."""

import re
from collections.abc import Collection

_LONGEST_SLUG = 48


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and dashes; never empty, never starting with a dot or a dash."""
    cleaned = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return cleaned[:_LONGEST_SLUG].rstrip("-.") or "model"


def deployment_id(model: str, revision: str, taken: Collection[str]) -> str:
    """`org/Tiny-Good` at 3f2a1b… → `tiny-good-3f2a1b`, then `tiny-good-3f2a1b-2` and so on."""
    base = f"{slug(model.rpartition('/')[2])}-{slug(revision[:6])}"
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base}-{n}"
    return name


def job_key(deployment: str, purpose: str, *numbers: int) -> str:
    """The scheduler's job name, unique for ever: `dz-tiny-good-3f2a1b-serve-1`."""
    return "-".join(["dz", deployment, purpose, *map(str, numbers)])
