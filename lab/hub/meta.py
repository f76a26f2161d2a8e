"""`.hub.json`: what a repository is beyond its files. Every field has a default, an unknown one is an error."""

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from lab.hub.dates import stamp

META_FILE = ".hub.json"
ALIASES = {
    "createdAt": "created_at",
    "lastModified": "last_modified",
    "cardData": "card_data",
    "trendingScore": "trending_score",
}


@dataclass(frozen=True)
class Meta:
    """Dates are stamps; `gated` is False, "auto" or "manual"; `readers` are users let in to a private or gated repo.

    license, base_model, pipeline_tag and so on go before what README.md says; `safetensors` and `config` replace what
    the files say, so that a folder of a few bytes can pass for a model of four hundred billion parameters.
    """

    created_at: str | None = None
    last_modified: str | None = None
    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    license: str | None = None
    base_model: str | list[str] | None = None
    base_model_relation: str | None = None
    pipeline_tag: str | None = None
    library_name: str | None = None
    tags: list[str] = field(default_factory=list)
    card_data: dict[str, object] = field(default_factory=dict)
    safetensors: dict[str, object] | None = None
    config: dict[str, object] | None = None
    downloads: int = 0
    likes: int = 0
    trending_score: int = 0
    readers: list[str] = field(default_factory=list)

    def with_changes(self, changes: dict[str, object]) -> "Meta":
        """The same with these fields changed, under our names or the Hub's; ValueError names an unknown field."""
        known = {f.name for f in fields(Meta)}
        ours = {ALIASES.get(name, name): value for name, value in changes.items()}
        if unknown := set(ours) - known:
            raise ValueError(f"a repository has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
        for name in ("created_at", "last_modified"):
            if ours.get(name) is not None:
                ours[name] = stamp(ours[name])
        if ours.get("gated") is True:
            ours["gated"] = "auto"
        return replace(self, **ours)


def read_meta(folder: Path) -> Meta:
    """The folder's `.hub.json`, or the defaults without one; ValueError when it isn't what it should be."""
    file = folder / META_FILE
    if not file.exists():
        return Meta()
    try:
        data = json.loads(file.read_text())
        if not isinstance(data, dict):
            raise ValueError("not an object")
        return Meta().with_changes(data)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def write_meta(folder: Path, meta: Meta) -> None:
    """Only what differs from the defaults, replaced atomically."""
    plain = asdict(Meta())
    kept = {name: value for name, value in asdict(meta).items() if value != plain[name]}
    partial = folder / (META_FILE + ".part")
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    os.replace(partial, folder / META_FILE)
