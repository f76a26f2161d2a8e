"""What kind of repository it is, by the tags that the Hub works out itself, and whether the settings want it announced.

Datasets are no models to the Hub: they are never in the listing that we watch.
"""

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lifecycle.sections.watching import Watch

MODEL, FINETUNE, QUANTIZED, REQUANTIZED, ADAPTER, MERGE, GGUF = (
    "model finetune quantized requantized adapter merge gguf".split()
)
RELATIONS = {"finetune": FINETUNE, "quantized": QUANTIZED, "adapter": ADAPTER, "merge": MERGE}

SUFFIXES = (
    "-fp8",
    "-awq",
    "-gptq",
    "-gptq-int4",
    "-gptq-int8",
    "-nvfp4",
    "-mxfp4",
    "-int4",
    "-int8",
    "-w4a16",
    "-w8a8",
)
"""How official variants are called where the card forgets to name its base."""


@dataclass(frozen=True)
class Kin:
    """`base`: the repository it was made from, or empty. QUANTIZED is by its org or a partner, REQUANTIZED not."""

    kind: str
    base: str = ""


def kin(repo: str, tags: Collection[str], partners: Collection[str] = ()) -> Kin:
    """By its tags; by its name where they are silent."""
    found = _by_tags(tags) or _by_name(repo)
    if "gguf" in tags:
        return Kin(GGUF, found.base if found else "")
    if found is None:
        return Kin(ADAPTER if {"peft", "lora"} & set(tags) else MODEL)
    org, base_org = repo.partition("/")[0], found.base.partition("/")[0]
    if found.kind == QUANTIZED and org != base_org and org not in partners:
        return Kin(REQUANTIZED, found.base)
    return found


def _by_tags(tags: Collection[str]) -> Kin | None:
    for tag in tags:
        word, _, rest = tag.partition(":")
        relation, _, base = rest.partition(":")
        if word == "base_model" and relation in RELATIONS and base:
            return Kin(RELATIONS[relation], base)
    return None


def _by_name(repo: str) -> Kin | None:
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if repo.lower().endswith(suffix) and not repo[: -len(suffix)].endswith("/"):
            return Kin(QUANTIZED, repo[: -len(suffix)])
    return None


def _of_ours(found: Kin, watch: Watch) -> bool:
    """Is it an official variant of a model that is watched, by its organisation or by name?"""
    known = found.base in watch.models or found.base.partition("/")[0] in watch.organizations
    return found.kind == QUANTIZED and known


def silence(repo: str, found: Kin, watch: Watch) -> str:
    """Why it is not announced; empty: it is."""
    org = repo.partition("/")[0]
    if org in watch.partners and org not in watch.organizations and not _of_ours(found, watch):
        return f"of {org}, a partner, only quantized variants of what we watch are"
    for pattern in watch.ignore:
        if fnmatchcase(repo.lower(), pattern.lower()) or fnmatchcase(repo.partition("/")[2].lower(), pattern.lower()):
            return f"watch.ignore has {pattern}"
    if found.kind not in watch.kinds:
        return f"watch.kinds has no {found.kind}"
    return ""
