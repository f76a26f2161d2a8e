"""The status page: what can I call, with which tag, how busy, how fast, what does it cost, and how do I call it.

Candidates are nobody's business but the Gauntlet's.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.auth.key import TAGS
from gateway.ledger.reports import report
from gateway.pages.files import page
from gateway.providers import ProviderModel
from gateway.routing import Served
from lifecycle.deployments import CANDIDATE_TAG
from lifecycle.errors import Refused

if TYPE_CHECKING:
    from gateway.gate import Gate

SHOWN = frozenset(tag for tag in TAGS if tag != CANDIDATE_TAG)
SEEN_S = 24 * 3600
FRESH_S = 10.0

Sums = Mapping[str, float]


@dataclass(frozen=True)
class Card:
    """One name that can be called. `facts`: (what, value) in the order in which they are shown."""

    name: str
    tag: str
    up: bool
    state: str
    facts: tuple[tuple[str, str], ...]


class Seen:
    """What the last day was like, by model, at most FRESH_S old: the ledger is read once for all callers."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self.models: dict[str, Sums] = {}

    async def refresh(self, gate: "Gate") -> None:
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                self.models = await asyncio.to_thread(_read, gate)
                self._read_at = time.monotonic()


def _read(gate: "Gate") -> dict[str, Sums]:
    try:
        return {row["model"]: row for row in report(gate.settings.gateway_store, ["model"], time.time() - SEEN_S)}
    except Refused:
        return {}


async def render(gate: "Gate") -> bytes:
    """The page as HTML."""
    await gate.seen.refresh(gate)
    shown = cards(gate)
    problems = [problem for problem in (gate.live.problem, gate.providers.problem, gate.litellm.problem) if problem]
    url = gate.settings.gateway.url.rstrip("/")
    example = next((card.name for card in shown if card.up), "org/name")
    return page(
        "models", here="", site=gate.settings.site.name, url=f"{url}/v1", models=shown, problems=problems,
        snippets=snippets(url, example),
    )  # fmt: skip


def cards(gate: "Gate") -> list[Card]:
    table, seen = gate.live.table, gate.seen.models
    found = []
    for name, served in table.models(SHOWN).items():
        servers = sum(gate.fleet.healthy(one) for one in served)
        busy = sum(gate.fleet.busy(one) for one in served)
        found.append(own_card(name, served, servers, busy, seen.get(name)))
    for name, one in table.aliases(SHOWN).items():
        servers = gate.fleet.healthy(one)
        found.append(Card(name, one.tag, bool(servers), _servers(servers), (("Stands for", one.model),)))
    for model in gate.providers.visible(SHOWN):
        found.append(provider_card(model, seen.get(model.name)))
    return found


def own_card(name: str, served: tuple[Served, ...], servers: int, busy: int, seen: Sums | None) -> Card:
    now = "idle" if not busy else f"{busy} request{'s' if busy > 1 else ''}"
    facts = [*([("Now", now)] if servers else []), *speed(seen)]
    if seen and (tokens := seen["prompt_tokens"] + seen["completion_tokens"]) and seen["cost"]:
        facts.append(("Cost", f"{seen['cost'] / tokens * 1e6:.2f} per million tokens"))
    return Card(name, served[0].tag, bool(servers), _servers(servers), tuple(facts))


def provider_card(model: ProviderModel, seen: Sums | None) -> Card:
    facts = list(speed(seen))
    if model.input_price is not None and model.output_price is not None:
        facts.append(("Cost", f"{model.input_price:g} in, {model.output_price:g} out per million tokens"))
    tag = ", ".join(tag for tag in model.tags if tag in SHOWN)
    return Card(model.name, tag, True, model.provider, tuple(facts))


def speed(seen: Sums | None) -> list[tuple[str, str]]:
    """Means of the last day; nothing when nobody asked."""
    if not seen:
        return []
    facts = []
    if seen["ttft_count"]:
        facts.append(("First byte", f"{seen['ttft_s'] / seen['ttft_count']:.2f} s"))
    if seen["completion_tokens"] and seen["duration_s"] > 0:
        facts.append(("Speed", f"{seen['completion_tokens'] / seen['duration_s']:.0f} tokens/s"))
    return facts


def _servers(count: int) -> str:
    return "no server answers now" if not count else f"{count} server{'s' if count > 1 else ''}"


CURL = """curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer $DAYZERO_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": {model}, "messages": [{{"role": "user", "content": "Hello"}}]}}'"""
OPENAI = """import os
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key=os.environ["DAYZERO_KEY"])
answer = client.chat.completions.create(model={model}, messages=[{{"role": "user", "content": "Hello"}}])
print(answer.choices[0].message.content)"""
ANTHROPIC = """import os
from anthropic import Anthropic

client = Anthropic(base_url="{url}", api_key=os.environ["DAYZERO_KEY"])
answer = client.messages.create(model={model}, max_tokens=500, messages=[{{"role": "user", "content": "Hello"}}])
print(answer.content[0].text)"""
SNIPPETS = (("curl", CURL), ("Python, openai", OPENAI), ("Python, anthropic", ANTHROPIC))


def snippets(url: str, model: str) -> list[tuple[str, str]]:
    """(name, text) to copy. A model's name can't end the quotes it stands in."""
    quoted = json.dumps(model)
    return [
        (name, text.format(url=url, model=quoted.replace("'", "'\\''") if text is CURL else quoted))
        for name, text in SNIPPETS
    ]
