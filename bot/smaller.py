"""The quantized way to serve a model: the official copy where there is one, else what can be made of it here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bot.watch.kinds import QUANTIZED, Kin, kin
from lifecycle.errors import DayzeroError, Permanent, Refused, Transient
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.ports import Recipes

SCHEMES = ("fp8", "nvfp4", "mxfp4", "awq", "gptq", "int4", "int8")
"""What a person may ask for. Without a word the first that there is, in this order."""


class Shelf(Protocol):
    """The Hub, seen from here."""

    def facts(self, repo: str, revision: str | None = None) -> ModelFacts: ...

    def quantized(self, repo: str, organisations: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        """(name, tags) of the repositories of these organisations that name `repo` as what they were quantized from."""


class Smaller:
    """`plan(facts, scheme)` → the plan of the copy. `partners`: organisations whose copies count as official."""

    def __init__(self, hub: Shelf, recipes: Recipes, partners: Sequence[str]):
        self._hub = hub
        self._recipes = recipes
        self._partners = partners

    def plan(self, facts: ModelFacts, scheme: str = "", **wishes: object) -> Plan:
        """Refused, or what the Hub raises. Of an official copy the plan names that repository and its commit."""
        if scheme and scheme not in SCHEMES:
            raise Refused(f"There is no way to quantize called {scheme!r}.", f"Choose {', '.join(SCHEMES)}.")
        if (copy := self.official(facts, scheme)) is not None:
            made = self._recipes.plan(copy, **wishes)
            said = f"{copy.repo} is the official quantized copy of {facts.repo}."
            return replace(made, reasons=(said, *made.reasons))
        return self._recipes.plan(facts, quant=scheme or SCHEMES[0], **wishes)

    def official(self, facts: ModelFacts, scheme: str = "") -> ModelFacts | None:
        """The facts of the official copy; None: there is none that is complete."""
        owner = facts.repo.partition("/")[0]
        found = self._hub.quantized(facts.repo, (owner, *self._partners))
        wanted = Kin(QUANTIZED, facts.repo)
        names = [name for name, tags in found if kin(name, tags, self._partners) == wanted]
        for name in sorted((n for n in names if not scheme or scheme in n.lower()), key=_rank):
            try:
                copy = self._hub.facts(name)
            except Transient:
                raise
            except DayzeroError:  # gated, empty, or of a kind that can't be served
                continue
            if copy.complete and (not scheme or _is(copy, scheme)):
                return copy
        return None

    def offer(self, facts: ModelFacts, **wishes: object) -> Plan | None:
        """What the card may show beside the plain plan; None: nothing, for whatever reason."""
        if facts.quantization:
            return None
        try:
            return self.plan(facts, **wishes)
        except (Permanent, Transient):
            return None


def _rank(name: str) -> tuple[int, str]:
    place = next((n for n, scheme in enumerate(SCHEMES) if scheme in name.lower()), len(SCHEMES))
    return place, name


def _is(copy: ModelFacts, scheme: str) -> bool:
    """By what its config says, or by its name where that names only the format."""
    return scheme in f"{copy.quantization or ''} {copy.dtype or ''} {copy.repo}".lower()
