"""What the command line prints: rows in, text out. Pure."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bot import stories
from bot.sentences import bar, duration, gpu_hours, params, plural, size
from lifecycle import deployments as states
from lifecycle import servers as s
from lifecycle.ledger import SERVICE
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Event, Release, Server, VictimRow


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned columns with a header; empty: one word."""
    if not rows:
        return "none"
    columns = list(rows[0])
    cells = [[str(row[c]) if row[c] is not None else "" for c in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    lines = [columns, *cells]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def progress(deployment: Deployment) -> str:
    """One line for the person who watches: what moves now, how far it is."""
    p = deployment.progress
    match p.get("stage"):
        case "cache" if p.get("total"):
            left = (p["total"] - p["done"]) / p["rate"] if p.get("rate") else None
            pace = f", {size(p['rate'])}/s, {duration(left)} left" if left is not None else ""
            return f"{bar(p['done'] / p['total'])} {size(p['done'])} of {size(p['total'])}{pace}"
        case "cache":
            return f"download waits in the queue ({p['waiting']})" if p.get("waiting") else "download starts"
        case "queue":
            start = p.get("expected_start")
            when = f", expected to start {time.strftime('%H:%M', time.localtime(start))}" if start else ""
            place = f", {p['place']} of {p['waiting']} that wait for GPUs" if p.get("place") else ""
            return f"job {p['handle']} waits ({p.get('reason') or 'no reason given'}){place}{when}"
        case "warn":
            when = time.strftime("%H:%M", time.localtime(p["until"]))
            return f"{plural(p['jobs'], 'research job')} may be preempted; their owners were told, it goes on at {when}"
        case "load":
            share = p.get("progress") or 0
            return f"{bar(share)} {share:.0%} {p.get('note') or p.get('phase') or ''}".rstrip()
        case "exam":
            said = f"{bar(p['done'] / max(1, p['total']))} {p['done']} of {p['total']} samples"
            return f"{said}. {p['note']}" if p.get("note") else said
        case "list" | "guard" | "sleep" | "swap":
            return p.get("note", "")
    return deployment.reason


def status(
    deployments: Sequence[Deployment],
    servers: Mapping[str, Sequence[Server]],
    waiting: Sequence[Release],
    now: float,
    clocks: Sequence[str] = (),
) -> str:
    """What waits for a decision, what is deployed, and below the words of those that wait for a person."""
    lines = []
    if waiting:
        rows = [{"RELEASE": r.id, "MODEL": r.repo, "STATE": r.state, "": r.refusal or _wish(r)} for r in waiting]
        lines += [table(rows), ""]
    rows = [
        {
            "DEPLOYMENT": d.id,
            "MODEL": d.model,
            "STATE": d.state,
            "FOR": duration(now - d.since),
            "GPUS": d.plan.gpus,
            "ENGINE": next((x.engine for x in servers[d.id] if x.state == s.UP), ""),
            "": "" if d.state in ASKING else progress(d),
        }
        for d in deployments
    ]
    lines.append(table(rows) if rows else "Nothing is deployed. `dayzero deploy org/model` starts one.")
    if clocks:
        lines += ["", *clocks]
    for d in deployments:
        if d.state in ASKING:
            lines += ["", f"{d.id} is {d.state}: {d.reason or 'no reason is known'}", f"  {_ask(d)}"]
    return "\n".join(lines)


ASKING = {
    states.HELD: "`dayzero promote {id} preview`, `dayzero retry {id}` or `dayzero fail {id}`.",
    states.BROKEN: "`dayzero retry {id}` or `dayzero abandon {id}`.",
}
"""States that wait for a person → what can be said."""


def _ask(deployment: Deployment) -> str:
    return f"{deployment.next_step} {ASKING[deployment.state].format(id=deployment.id)}".strip()


def _wish(release: Release) -> str:
    return f"`dayzero approve {release.id}` deploys it" if release.plan else ""


def one(
    deployment: Deployment, servers: Sequence[Server], victims: Sequence[VictimRow], now: float, report: str = ""
) -> str:
    """All about one deployment, but its past. `report`: where people find the Gauntlet's."""
    d = deployment
    verdict = d.verdict or {}
    lines = [
        f"{d.id}: {d.model} at {d.revision[:12]}",
        f"  {d.state} for {duration(now - d.since)}; approved by {d.created_by} {duration(now - d.created_at)} ago",
        f"  {d.plan.nodes} × {d.plan.gpus_per_node} {d.plan.gpu_type}, context {d.plan.context}, "
        f"partition {d.plan.partition}, {f'QOS {d.plan.qos}' if d.plan.qos else 'no QOS'}",
        f"  {line}" if (line := progress(d)) else "",
        f"  {_ask(d)}" if d.state in ASKING else "",
        f"  Gauntlet run {verdict.get('run')}: {verdict.get('outcome')}. {' '.join(verdict.get('reasons') or ())}"
        if verdict
        else "",
        f"  report: {report}" if report else "",
    ]
    lines += [
        f"  server {x.n}: {x.state} for {duration(now - x.since)}"
        + "".join(f", {word}" for word in (x.engine, x.url, x.nodes, x.reason) if word)
        for x in servers
    ]
    lines += [
        f"  job {v.handle} ({v.name}) of {v.user}: {v.state.lower()}, {v.gpus * v.ran_s / 3600:.1f} GPU-hours"
        for v in victims
    ]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def status_data(
    deployments: Sequence[Deployment], servers: Mapping[str, Sequence[Server]], waiting: Sequence[Release]
) -> dict[str, Any]:
    return {
        "releases": [{"id": r.id, "repo": r.repo, "state": r.state, "refusal": r.refusal} for r in waiting],
        "deployments": [
            {
                "id": d.id,
                "model": d.model,
                "revision": d.revision,
                "state": d.state,
                "since": d.since,
                "reason": d.reason,
                "next_step": d.next_step,
                "progress": d.progress,
                "verdict": d.verdict,
                "servers": [{"n": x.n, "state": x.state, "url": x.url, "engine": x.engine} for x in servers[d.id]],
            }
            for d in deployments
        ],
    }


def plan(facts: ModelFacts, plan: Plan) -> str:
    """What it is, how it would be served, whom it would evict."""
    lines = [
        f"{facts.repo} at {facts.revision[:12]}",
        f"  {facts.architecture or 'unknown architecture'}, {params(facts.params)} parameters, {facts.dtype or '?'}, "
        f"{size(facts.total_bytes)} on disk, licence {facts.license or 'unknown'}",
        f"  {plan.nodes} × {plan.gpus_per_node} {plan.gpu_type}: tensor {plan.tensor_parallel} × pipeline "
        f"{plan.pipeline_parallel}, context {plan.context}, {size(plan.memory_per_gpu)}/{size(plan.gpu_memory)} a GPU",
        f"  engines, in this order: {', '.join(rung.runtime for rung in plan.ladder)}",
        *(f"  {reason}" for reason in plan.reasons),
    ]
    if plan.lasts_s is not None:
        lines.append(f"  for {duration(plan.lasts_s)} from its first preview on")
    if plan.forecast:
        start = plan.forecast.starts_at
        lines.append(
            f"  would start {time.strftime('%H:%M:%S', time.localtime(start)) if start else 'at an unknown time'}"
        )
        lines += [f"  {plan.forecast.note}"] if plan.forecast.note else []
        for v in plan.forecast.victims:
            lines.append(
                f"  would preempt job {v.handle} {v.name} of {v.user}: {duration(v.ran_s)}, {gpu_hours(v.gpu_hours)}"
            )
    return "\n".join([*lines, f"  digest {plan.digest}"])


def history(events: Sequence[Event], deployment: Deployment) -> str:
    """One line for each event under its day: time, what it is about, its arrow, the sentence of the Slack thread."""
    lines = [f"{deployment.id}: {deployment.model} at {deployment.revision[:12]}"]
    day = ""
    for e in events:
        if (today := time.strftime("%A, %Y-%m-%d", time.localtime(e.at))) != day:
            lines.append(day := today)
        arrow = f"{e.old or '·'} → {e.new}" if e.new else ""
        stamp = time.strftime("%H:%M:%S", time.localtime(e.at))
        lines.append(f"  {stamp}  {_about(e):11} {arrow:20} {_said(e, deployment)}".rstrip())
    return "\n".join(lines)


def _about(e: Event) -> str:
    subject, _, what = e.kind.partition(".")
    return "" if subject == "note" else f"job {what}" if subject == "job" else subject


def _said(e: Event, deployment: Deployment) -> str:
    """The event's sentence; where it has none, the facts that came with it."""
    if line := stories.line(e, deployment):
        return line
    by = "" if e.by == SERVICE else e.by
    facts = [f"{k} {v}" for k, v in e.detail.items() if v and not isinstance(v, dict | list) and k != "tail"]
    return "; ".join(filter(None, [by, e.detail.get("sentence") or ", ".join(facts)]))


def history_data(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [
        {"id": e.id, "at": e.at, "kind": e.kind, "old": e.old, "new": e.new, "by": e.by, "detail": e.detail}
        for e in events
    ]


MARKS = {True: "ok", False: "FAIL", None: "-"}


def checks(results: Sequence[Any]) -> str:
    """One line for each part, and below a failing one how to mend it."""
    lines = []
    for r in results:
        lines.append(f"{MARKS[r.ok]:4}  {r.part:12} {r.sentence}")
        lines += [f"      {'':12} {step}" for step in r.next_step.splitlines()]
    failed = sum(r.ok is False for r in results)
    lines.append(f"{plural(failed, 'part')} to mend." if failed else "Everything that is configured works.")
    return "\n".join(lines)


def checks_data(results: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"part": r.part, "ok": r.ok, "sentence": r.sentence, "next_step": r.next_step} for r in results]
