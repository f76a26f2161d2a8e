"""App Home: what is served, what is coming, what waits, the GPUs, the cost of today. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slack_sdk.models.blocks import Block

from bot import show
from bot.looks import Gpus
from bot.sentences import duration, plural
from bot.slack.text import code, context, divider, header, safe, section, told
from lifecycle import deployments as states
from lifecycle import servers as s
from lifecycle.records import Deployment, Release, Server

SHOWN = 20


@dataclass(frozen=True)
class Now:
    """Everything that Home shows, as of one moment."""

    deployments: Sequence[Deployment]
    servers: Mapping[str, Sequence[Server]]
    waiting: Sequence[Release]
    gpus: Gpus
    spent: str
    at: float
    clocks: Mapping[int, str] = field(default_factory=dict)  # release → what is left of the promise


def home(now: Now) -> dict:
    """A home tab, as views.publish takes it."""
    served = [d for d in now.deployments if d.state in (states.PREVIEW, states.STABLE)]
    asking = [d for d in now.deployments if d.state in show.ASKING]
    leaving = [d for d in now.deployments if d.state == states.DRAINING]
    coming = [d for d in now.deployments if d not in (*served, *asking, *leaving)]
    blocks: list[Block] = [header("What is served")]
    blocks += [section(_served(d, now)) for d in served[:SHOWN]] or [section("Nothing yet.")]
    blocks += [divider(), header("What is coming")]
    blocks += [section(_coming(d, now)) for d in coming[:SHOWN]] or [section("Nothing is on its way.")]
    if asking:
        blocks += [divider(), header("What needs a person")]
        blocks += [section(_coming(d, now)) for d in asking[:SHOWN]]
    if leaving:
        blocks += [divider(), section("Leaving: " + ", ".join(safe(d.model, 100) for d in leaving[:SHOWN]))]
    if now.waiting:
        blocks += [divider(), header("What waits for a decision")]
        blocks.append(section("\n".join(f"• {safe(r.repo, 100)}{_clock(now, r.id)}" for r in now.waiting[:SHOWN])))
    hidden = max(0, len(served) - SHOWN) + max(0, len(coming) - SHOWN) + max(0, len(now.waiting) - SHOWN)
    more = f" {plural(hidden, 'more row')} in `/status`." if hidden else ""
    held = f"{now.gpus.bar}\n" if now.gpus.bar else ""
    blocks += [divider(), header("The cluster")]
    blocks += [section(f"{held}*GPUs:* {safe(now.gpus.sentence)}\n*Cost today:* {safe(now.spent)}")]
    blocks.append(context(f"`/status`, `/status cluster`, `/status costs`, `/status history` say more.{more}"))
    return {"type": "home", "blocks": [block.to_dict() for block in blocks]}


def _served(d: Deployment, now: Now) -> str:
    up = [x for x in now.servers.get(d.id, ()) if x.state == s.UP]
    by = f"{safe(up[0].engine, 40)} on {safe(up[0].nodes or 'this host', 80)}" if up else "no server is up now"
    return f"*{safe(d.model, 100)}* {code(d.id)}\n{d.state.lower()}, {plural(d.plan.gpus, 'GPU')}, {by}"


def _coming(d: Deployment, now: Now) -> str:
    line = told(show.progress(d), 300)
    clock = _clock(now, d.release_id)
    said = f"*{safe(d.model, 100)}* {code(d.id)}\n{d.state} for {duration(_coarse(now.at - d.since))}{clock}"
    return f"{said}\n{line}" if line else said


def _clock(now: Now, release: int | None) -> str:
    word = now.clocks.get(release) if release is not None else None
    return f": {safe(word, 100)}" if word else ""


def _coarse(seconds: float) -> float:
    """Whole minutes: a view that differs each second would be sent each second."""
    return seconds // 60 * 60
