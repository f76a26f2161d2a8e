"""A repository as the Hub's JSON. Three sizes: a line of a list, the full page, and exactly what `expand` names."""

import hashlib
from collections.abc import Collection

from lab.hub.commits import Commit
from lab.hub.derived import Derived, derive
from lab.hub.refusals import Refusal
from lab.hub.store import Repo, Store

EXPANDABLE = frozenset(
    "author baseModels cardData childrenModelCount config createdAt disabled downloads downloadsAllTime evalResults "
    "gated gguf inference inferenceProviderMapping lastModified library_name likes mask_token model-index "
    "pipeline_tag private resourceGroup safetensors sha siblings spaces tags transformersInfo trendingScore "
    "usedStorage widgetData xetEnabled".split()
)
LISTED = frozenset("createdAt downloads library_name likes modelId pipeline_tag private tags trendingScore".split())
FULL = LISTED | frozenset("author disabled gated lastModified sha siblings".split())
PAGE = FULL | frozenset(
    "cardData config model-index safetensors spaces transformersInfo usedStorage widgetData".split()
)
REMEMBERED = 10_000


class Describer:
    """Remembers what it derived from up to REMEMBERED commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str], Derived] = {}

    def describe(self, repo: Repo, commit: Commit, keys: Collection[str], blobs: bool = False) -> dict[str, object]:
        """`_id`, `id` and those of `keys` that have a value; a revision of the past is described as it was."""
        now = commit.sha == repo.head.sha
        shown: dict[str, object] = {
            "author": repo.id.split("/")[0],
            "createdAt": repo.created_at,
            "disabled": repo.meta.disabled,
            "downloads": repo.meta.downloads,
            "downloadsAllTime": repo.meta.downloads,
            "gated": repo.meta.gated,
            "lastModified": repo.last_modified if now else commit.date,
            "likes": repo.meta.likes,
            "modelId": repo.id,
            "private": repo.meta.private,
            "sha": commit.sha,
            "spaces": [],
            "trendingScore": repo.meta.trending_score,
            "usedStorage": commit.bytes,
        }
        if not shown.keys() >= set(keys):
            shown |= self._from_files(repo, commit)
        if "siblings" in keys:
            shown["siblings"] = [_sibling(path, commit, blobs) for path in commit.files]
        return {"_id": mongo_id(repo.id), "id": repo.id} | {
            key: shown[key] for key in sorted(keys) if shown.get(key) is not None
        }

    def tags(self, repo: Repo) -> tuple[str, ...]:
        """For the filters of a list."""
        return self._facts(repo, repo.head).tags

    def pipeline_tag(self, repo: Repo) -> str | None:
        return self._facts(repo, repo.head).pipeline_tag

    def card(self, repo: Repo) -> dict[str, object]:
        return self._facts(repo, repo.head).card

    def _from_files(self, repo: Repo, commit: Commit) -> dict[str, object]:
        facts = self._facts(repo, commit)
        config = facts.config
        architectures = config.get("architectures") or []
        return {
            "baseModels": facts.base_models,
            "cardData": facts.card or None,
            "childrenModelCount": {},
            "config": config or None,
            "library_name": facts.library_name,
            "model-index": None,
            "pipeline_tag": facts.pipeline_tag,
            "safetensors": facts.safetensors,
            "tags": list(facts.tags),
            "transformersInfo": {
                "auto_model": "AutoModelForCausalLM" if facts.pipeline_tag == "text-generation" else "AutoModel",
                "pipeline_tag": facts.pipeline_tag,
                "processor": "AutoTokenizer",
            }
            if architectures
            else None,
        }

    def _facts(self, repo: Repo, commit: Commit) -> Derived:
        key = (repo.id, commit.sha, repr(repo.meta))
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = derive(self._store, commit, repo.meta)
        return self._known[key]


def checked_expand(asked: Collection[str]) -> frozenset[str]:
    """The properties of `expand`; an unknown one is a 400, as on the Hub."""
    if unknown := set(asked) - EXPANDABLE:
        raise Refusal(
            400, "", f'"expand" must be one of [{", ".join(sorted(EXPANDABLE))}], not {", ".join(sorted(unknown))}'
        )
    return frozenset(asked)


def mongo_id(repo_id: str) -> str:
    """A stable id of the shape the Hub uses."""
    return hashlib.sha256(repo_id.encode()).hexdigest()[:24]


def _sibling(path: str, commit: Commit, blobs: bool) -> dict[str, object]:
    if not blobs:
        return {"rfilename": path}
    content = commit.files[path]
    shown: dict[str, object] = {"rfilename": path, "blobId": content.oid, "size": content.size}
    if content.lfs:
        shown["lfs"] = {"sha256": content.sha256, "size": content.size, "pointerSize": content.pointer_size}
    return shown
