"""Letters: what the mails say, as plain text and as HTML, from the same facts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bot import stories
from bot.hooks.catalogue import CATALOGUE
from bot.sentences import gpu_hours, params, plural, size
from lifecycle.records import Deployment, Event, Release

WIDTH = 620


@dataclass(frozen=True)
class Letter:
    """`rows` are named values, `tail` the end of a log; all from outside may be in them, so HTML is escaped here."""

    subject: str
    sentence: str
    rows: tuple[tuple[str, str], ...] = ()
    next_step: str = ""
    tail: str = ""

    @property
    def text(self) -> str:
        wide = max((len(name) for name, _ in self.rows), default=0)
        parts = [self.sentence, "\n".join(f"{name.ljust(wide)}  {value}" for name, value in self.rows)]
        return "\n\n".join(part for part in (*parts, self.next_step, self.tail) if part) + "\n"

    @property
    def html(self) -> str:
        """One page without pictures, scripts or anything to load."""
        cells = "".join(
            f'<tr><td style="color:#666;padding:2px 16px 2px 0">{escape(name)}</td><td>{escape(value)}</td></tr>'
            for name, value in self.rows
        )
        parts = [
            f'<h1 style="font-size:18px">{escape(self.subject)}</h1>',
            f"<p>{escape(self.sentence)}</p>",
            f"<table>{cells}</table>" if cells else "",
            f"<p><b>{escape(self.next_step)}</b></p>" if self.next_step else "",
            f'<pre style="background:#f4f4f4;padding:8px;white-space:pre-wrap">{escape(self.tail)}</pre>'
            if self.tail
            else "",
        ]
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<body style="font-family:sans-serif;font-size:14px;max-width:{WIDTH}px">{"".join(parts)}</body></html>'
        )


def offered(release: Release) -> Letter:
    """Something new: what it is and how it would be served, or why not."""
    rows: list[tuple[str, str]] = []
    if (facts := release.facts) is not None:
        rows += [
            ("Parameters", params(facts.params)),
            ("Licence", facts.license or "unknown"),
            ("Architecture", facts.architecture or "unknown"),
            ("Weights", f"{size(facts.weights_bytes)}, {facts.dtype or 'unknown dtype'}"),
            ("Gated", "yes" if facts.gated else "no"),
        ]
    if (plan := release.plan) is not None:
        rows.append(("Would take", f"{plural(plan.nodes, 'node')} × {plan.gpus_per_node} {plan.gpu_type}"))
        victims = plan.forecast.victims if plan.forecast else ()
        rows += [
            ("Would preempt", f"job {v.handle} {v.name} of {v.user}, {gpu_hours(v.gpu_hours)} at stake")
            for v in victims[:15]
        ] or [("Would preempt", "nobody" if plan.forecast else "not known")]
    if release.kind == "framework":
        return Letter(f"New: {release.repo} {release.revision}", str(release.notes.get("title") or release.revision),
                      next_step=str(release.notes.get("url") or ""))  # fmt: skip
    sentence = release.refusal or f"{release.repo} is published."
    step = f"Approve it in Slack, or with `dayzero approve {release.id}`." if plan is not None else ""
    return Letter(f"New: {release.repo}", sentence, tuple(rows), step)


def alert(event: Event, deployment: Deployment | None, report: str = "") -> Letter:
    """What the channel or the thread is told of an event; where they are told nothing, what it means.

    `report`: where people find the Gauntlet's, if this is about one.
    """
    meaning = CATALOGUE.get(event.kind, event.kind)
    if event.kind in stories.NOTICES:
        said = stories.NOTICES[event.kind](event)
    else:
        said = (stories.line(event, deployment) if deployment else None) or f"{meaning.capitalize()}."
    rows = [("Deployment", deployment.id)] if deployment else []
    rows += [("State", event.new)] if event.new else []
    rows += [("Report", report)] if report else []
    tail = str(event.detail.get("tail") or "")[-3000:]
    about = deployment.model if deployment else "dayzero"
    return Letter(f"{about}: {event.new or meaning}", said, tuple(rows), tail=tail)


def promise(event: Event) -> Letter:
    """The day is running out."""
    said = str(event.detail.get("sentence") or "")
    return Letter(f"Running late: {said.partition(':')[0]}", said, next_step=str(event.detail.get("next_step") or ""))


def owner(event: Event, told: str) -> Letter:
    """To the owner of a job that a model preempts."""
    handle, name = str(event.detail.get("handle", "")), str(event.detail.get("name", ""))
    return Letter(f"Your Slurm job {handle}", told, (("Job", handle), ("Name", name)))


def back(deployment: Deployment, told: str, handles: Sequence[str]) -> Letter:
    """To somebody whose jobs made room: the nodes are back."""
    return Letter(f"The nodes are back: {deployment.model}", told, (("Your jobs", ", ".join(handles)),))
