"""What the command line prints: rows in, text out. Pure."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bot.sentences import bar, duration, params, size
from lifecycle import servers as s
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.records import Deployment, Event, Release, Server


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
            return f"job {p['handle']} waits ({p.get('reason') or 'no reason given'}){when}"
        case "load":
            return f"{bar(p.get('progress') or 0)} {p.get('note') or p.get('phase')}"
        case "exam":
            return f"{bar(p['done'] / max(1, p['total']))} {p['done']} of {p['total']} samples"
        case "list":
            return p.get("note", "")
    return deployment.reason


def status(
    deployments: Sequence[Deployment], servers: Mapping[str, Sequence[Server]], waiting: Sequence[Release], now: float
) -> str:
    lines = []
    if waiting:
        rows = [{"RELEASE": r.id, "MODEL": r.repo, "STATE": r.state, "": r.refusal} for r in waiting]
        lines += [table(rows), ""]
    rows = [
        {
            "DEPLOYMENT": d.id,
            "MODEL": d.model,
            "STATE": d.state,
            "FOR": duration(now - d.since),
            "GPUS": d.plan.gpus,
            "ENGINE": next((x.engine for x in servers[d.id] if x.state == s.UP), ""),
            "": progress(d),
        }
        for d in deployments
    ]
    lines.append(table(rows) if rows else "Nothing is deployed. `dayzero deploy org/model` starts one.")
    return "\n".join(lines)


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
    if plan.forecast:
        start = plan.forecast.starts_at
        lines.append(
            f"  would start {time.strftime('%H:%M:%S', time.localtime(start)) if start else 'at an unknown time'}"
        )
        for v in plan.forecast.victims:
            lines.append(
                f"  would preempt job {v.handle} {v.name} of {v.user}: {duration(v.ran_s)}, {v.gpu_hours:.1f} GPU-hours"
            )
    return "\n".join([*lines, f"  digest {plan.digest}"])


def event(e: Event) -> str:
    """One event as one line."""
    arrow = f"{e.old} → {e.new}" if e.old else e.new
    said = e.detail.get("sentence") or e.detail.get("because") or "; ".join(e.detail.get("reasons", ()))
    rest = said or ", ".join(
        f"{k} {v}" for k, v in e.detail.items() if v and not isinstance(v, dict | list) and k != "tail"
    )
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(e.at))
    return f"{stamp}  {e.kind:24} {arrow:24} {e.by:12} {rest}".rstrip()


def history(events: Sequence[Event]) -> str:
    return "\n".join(event(e) for e in events)


def history_data(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [
        {"id": e.id, "at": e.at, "kind": e.kind, "old": e.old, "new": e.new, "by": e.by, "detail": e.detail}
        for e in events
    ]


def checks(results: Sequence) -> str:
    marks = {True: "ok  ", False: "FAIL", None: "--  "}
    return "\n".join(f"{marks[r.ok]}  {r.part:16} {r.sentence} {r.next_step}".rstrip() for r in results)


def keys(keys: Sequence, now: float) -> str:
    return table(
        [{"PREFIX": k.prefix, "NAME": k.name, "TEAM": k.team, "TAGS": ",".join(sorted(k.tags)),
          "STATE": "alive" if k.alive(now) else "dead"} for k in keys]
    )  # fmt: skip
