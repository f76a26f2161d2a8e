"""Who waits for a newer engine, and what in a framework's release says that the wait is over. Pure."""

import re
from collections.abc import Iterable, Mapping

from lifecycle import deployments
from lifecycle.deployments import NEEDS_SERVER
from lifecycle.records import Deployment

SUPPORTED = {
    "vllm": "vllm/model_executor/models/registry.py",
    "transformers": "src/transformers/models/auto/modeling_auto.py",
}
"""Engine → the file of its repository that lists every architecture it knows."""

BROKEN, FALLBACK = "broken", "fallback"

_ENDING = re.compile(r"(For[A-Z]\w*|LMHeadModel|Model)\Z")
TELLING = 9
"""A stem without a digit must be so long: the letters of "Llama" are in every release's notes."""


def engine_of(repository: str) -> str:
    """vllm-project/vllm → vllm."""
    return repository.rpartition("/")[2].lower()


def waits_for(deployment: Deployment, engine: str, serving: str) -> str:
    """BROKEN, FALLBACK or "": does it wait for a newer `engine`? `serving`: the engine of the server that is up."""
    ladder = [rung.engine for rung in deployment.plan.ladder]
    if engine not in ladder:
        return ""
    if deployment.state == deployments.BROKEN:
        return BROKEN if deployment.broke_in == deployments.STARTING else ""
    behind = deployment.state in NEEDS_SERVER and serving in ladder and ladder.index(engine) < ladder.index(serving)
    return FALLBACK if behind else ""


def evidence(name: str, tag: str, notes: str, listed: Mapping[str, str], architecture: str) -> str:
    """One sentence that says where this release names the architecture; "": nowhere. `listed`: path → its text."""
    if not architecture:
        return ""
    for path, text in listed.items():
        if re.search(rf"\b{re.escape(architecture)}\b", text):
            return f"{path} of {name} {tag} lists {architecture}."
    if re.search(rf"\b{re.escape(architecture)}\b", notes):
        return f"The release notes of {name} {tag} name {architecture}."
    stem = _ENDING.sub("", architecture)
    tells = any(letter.isdigit() for letter in stem) or len(stem) >= TELLING
    if tells and (words := _written(stem, notes)):
        return f'The release notes of {name} {tag} name "{words}".'
    return ""


def _written(stem: str, notes: str) -> str:
    """How people write it: DeepseekV4 as DeepSeek-V4 or "deepseek v4"; "" when it is not there, alone, as a word."""
    letters = r"[\s._-]?".join(re.escape(letter) for letter in stem)
    found = re.search(rf"(?<![A-Za-z0-9]){letters}(?![A-Za-z0-9])", notes, re.IGNORECASE)
    return found[0] if found else ""


def all_evidence(
    name: str, tag: str, notes: str, listed: Mapping[str, str], waiting: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Deployment → its sentence, of those of `waiting` (deployment, architecture) that the release speaks about."""
    found = ((one, evidence(name, tag, notes, listed, architecture)) for one, architecture in waiting)
    return {one: sentence for one, sentence in found if sentence}
