"""What is worth telling of an event, in one plain sentence, for the thread, the mail and the owner. Pure tables."""

from collections.abc import Callable, Sequence

from bot.sentences import duration, gpu_hours, plural, size
from lifecycle import victims
from lifecycle.records import Deployment, Event, VictimRow

Line = Callable[[Event, Deployment], str]


def _server(e: Event) -> str:
    return f"server {e.detail.get('handle', '')}".strip()


def _engine(e: Event, d: Deployment) -> str:
    why = e.detail.get("why") or ""
    fallback = f" It is rung {e.detail['rung'] + 1} of the ladder: {why}" if e.detail.get("rung") else ""
    return (
        f"The server answers: {e.detail.get('engine')} {e.detail.get('engine_version') or ''}".strip() + f".{fallback}"
    )


def _elder(e: Event) -> str:
    return str(e.detail.get("elder") or "its elder")


def _share(e: Event) -> str:
    return f"{e.detail.get('share') or 0:.0%}"


def took_over(e: Event) -> str:
    """A successor has all requests."""
    return (
        f"{e.deployment_id} answers all requests to {_elder(e)}, which is kept for "
        f"{duration(e.detail.get('keep_s'))}: `dayzero rollback {e.deployment_id}` brings it back at once."
    )


def halted(e: Event) -> str:
    """A successor was worse and has none of the requests any more."""
    return (
        f"{e.deployment_id} was worse than {_elder(e)}, which has all requests again: {e.detail.get('sentence')} "
        f"`dayzero swap {e.deployment_id} --resume` tries once more, `dayzero rollback {e.deployment_id}` gives it up."
    )


def rolled_back(e: Event) -> str:
    """A person took a swap back."""
    because = e.detail.get("because") or ""
    return f"{e.by} rolled back: {_elder(e)} has all requests again, {e.deployment_id} drains. {because}".strip()


LINES: dict[str, Line] = {
    "deployment.approved": lambda e, d: (
        f"{e.by} approved it. The weights are being {'quantized' if d.plan.quantizing else 'fetched'}."
    ),
    "deployment.cached": lambda e, d: f"The weights are here: {size(e.detail.get('bytes'))}.",
    "deployment.healthy": lambda e, d: "A first answer came back; the gateway lists it as a candidate.",
    "deployment.listed": lambda e, d: f"The Gauntlet begins (run {d.exam}).",
    "deployment.passed": lambda e, d: (
        "It passed the Gauntlet and is in preview."
        if e.detail.get("outcome")
        else f"{e.by} passed it by hand: it is in preview. {e.detail.get('because') or ''}"
    ),
    "deployment.failed": lambda e, d: (
        "It failed the Gauntlet and is taken down. "
        + " ".join(e.detail.get("reasons") or [e.detail.get("because") or ""])
    ),
    "deployment.undecided": lambda e, d: (
        "The Gauntlet could not decide; a person must. " + " ".join(e.detail.get("reasons") or [])
    ),
    "deployment.retested": lambda e, d: f"{e.by} sends it through the Gauntlet once more.",
    "deployment.promoted": lambda e, d: f"{e.by} promoted it to stable. {e.detail.get('because') or ''}",
    "deployment.demoted": lambda e, d: f"{e.by} moved it back to preview. {e.detail.get('because') or ''}",
    "deployment.superseded": lambda e, d: "Its successor took over; it drains.",
    "deployment.cancelled": lambda e, d: f"{e.by} ends it. {e.detail.get('because') or ''}",
    "deployment.broke": lambda e, d: (
        f"It broke while {e.old}: {e.detail.get('sentence')} {e.detail.get('next_step') or ''}"
    ),
    "deployment.retried": lambda e, d: f"{e.by} tries again.",
    "deployment.drained": lambda e, d: "Everything is given back.",
    "swap.wanted": lambda e, d: (
        f"{e.by} wants it in the place of {_elder(e)}: once it has passed, it answers "
        f"{', '.join(str(step) for step in e.detail.get('steps') or [])} % of the requests, step by step."
    ),
    "swap.began": lambda e, d: f"It answers {_share(e)} of the requests to {_elder(e)}.",
    "swap.stepped": lambda e, d: (
        f"As good as {_elder(e)} in {e.detail.get('requests', 0)} requests: it answers {_share(e)} of them now."
    ),
    "swap.resumed": lambda e, d: f"{e.by} gives it another try: {_share(e)} of the requests to {_elder(e)}.",
    "swap.took_over": lambda e, d: took_over(e),
    "swap.halted": lambda e, d: halted(e),
    "swap.rolled_back": lambda e, d: rolled_back(e),
    "swap.returned": lambda e, d: f"No request comes to it any more: {_elder(e)} has its place back.",
    "swap.finished": lambda e, d: f"It has taken the place of {_elder(e)}, which drains.",
    "swap.lost": lambda e, d: f"It does not replace {_elder(e)}, which goes on: {e.detail.get('sentence')}",
    "swap.alone": lambda e, d: f"{e.detail.get('sentence')} It answers to its names from now on.",
    "server.running": lambda e, d: f"Slurm gave it {e.detail.get('nodes')}; the engine loads.",
    "server.ready": _engine,
    "server.requeued": lambda e, d: (
        f"Slurm put {_server(e)} back into the queue; it is out of the gateway until it is up."
    ),
    "server.sick": lambda e, d: "The server does not answer; it is out of the gateway until it does.",
    "server.recovered": lambda e, d: "The server answers again.",
    "server.lost": lambda e, d: f"A server was lost: {e.detail.get('sentence')} {e.detail.get('next_step') or ''}",
    "server.gone": lambda e, d: (
        f"Its nodes {e.detail.get('nodes') or ''} are given back after {gpu_hours(e.detail.get('gpu_hours') or 0)}."
    ),
    "victim.expected": lambda e, d: (
        f"Job {e.detail['handle']} ({e.detail['name']}) of {e.detail['user']} would be preempted."
    ),
    "victim.requeued": lambda e, d: (
        f"Job {e.detail['handle']} of {e.detail['user']} was preempted"
        f"{', though no forecast had named it,' if e.detail.get('unforeseen') else ''} and waits again."
    ),
    "victim.cancelled": lambda e, d: (
        f"Job {e.detail['handle']} of {e.detail['user']} was preempted and must be resubmitted."
    ),
    "victim.suspended": lambda e, d: f"Job {e.detail['handle']} of {e.detail['user']} is suspended.",
    "victim.resumed": lambda e, d: f"Job {e.detail['handle']} of {e.detail['user']} runs again.",
    "note.cache_again": lambda e, d: f"The download is tried again: {e.detail.get('sentence')}",
    "note.exam_more": lambda e, d: f"The first samples could not tell. {e.detail['because']}",
    "note.exam_again": lambda e, d: "Some shards of the Gauntlet did not finish; they are tried again.",
    "note.rollover": lambda e, d: (
        f"The time of server {e.detail.get('server')} runs out in {e.detail.get('left_s', 0) // 60} minutes; "
        "a successor is started, and takes over before it goes."
    ),
    "note.ending": lambda e, d: (
        f"Its time is over in {duration(e.detail.get('left_s'))}; then its GPUs are given back. "
        f"`/deploy extend {d.id} 12h` lets it serve longer."
    ),
    "note.extended": lambda e, d: (
        f"{e.by} lets it serve {duration(e.detail.get('seconds'))} longer. {e.detail.get('because') or ''}"
    ),
    "note.retry_offered": lambda e, d: f"{e.detail.get('sentence')} {e.detail.get('next_step') or ''}",
    "note.resized": lambda e, d: f"{e.by} has changed how many servers it has, or when it sleeps.",
    "note.asleep": lambda e, d: (
        f"It sleeps and gives its GPUs back: {e.detail.get('why')}. Whoever asks for it wakes it."
    ),
    "note.woken": lambda e, d: (
        f"It is woken: {e.detail.get('why')}."
        f"{' The last time that took ' + duration(e.detail.get('load_s')) + '.' if e.detail.get('load_s') else ''}"
    ),
    "note.scaled": lambda e, d: (
        f"{plural(e.detail.get('servers') or 0, 'server')} from now on: "
        f"{'there is more to do than they can' if e.detail.get('more') else 'one fewer will do'}."
    ),
    "note.dry_run": lambda e, d: f"Dry run: {e.detail.get('sentence')} {e.detail.get('next_step') or ''}".strip(),
    "note.guarded": lambda e, d: f"A guard rail holds it back: {e.detail.get('sentence')}",
    "note.stumbled": lambda e, d: f"Not so easy: {e.detail.get('sentence')} It is tried again by itself.",
}
"""Event kind → its sentence in the thread. What is not here is in the history only."""

NOTICES: dict[str, Callable[[Event], str]] = {
    "image.wanted": lambda e: f"{e.by} has the image {e.detail.get('image')} built of {e.detail.get('reference')}.",
    "image.built": lambda e: f"The image {e.detail.get('image')} is built, and a tiny model answers in it.",
    "image.failed": lambda e: (
        f"The image {e.detail.get('image')} is not to be used: {e.detail.get('sentence')} "
        f"{e.detail.get('next_step') or ''}"
    ).strip(),
    "note.scheduler_silent": lambda e: f"Slurm is silent: {e.detail.get('sentence')} Nothing is lost.",
    "note.scheduler_back": lambda e: "Slurm answers again.",
    "note.watch_failed": lambda e: f"Watching {e.detail.get('source')}: {e.detail.get('sentence')}",
    "note.watch_back": lambda e: f"Watching {e.detail.get('source')}: it answers again.",
    "note.gone": lambda e: str(e.detail.get("sentence")),
    "note.renamed": lambda e: str(e.detail.get("sentence")),
    "note.update": lambda e: f"{e.detail.get('sentence')} {e.detail.get('next_step') or ''}".strip(),
    "note.webhook_dead": lambda e: (
        f"The webhook {e.detail.get('hook')} did not take event {e.detail.get('event')}: {e.detail.get('sentence')}"
        " It is kept: `dayzero webhooks retry` sends it again."
    ),
    "note.variant": lambda e: f"{e.detail.get('sentence')} {e.detail.get('next_step') or ''}".strip(),
    "swap.took_over": took_over,
    "swap.halted": halted,
    "swap.rolled_back": rolled_back,
    "note.promise": lambda e: f"{e.detail.get('sentence')} {e.detail.get('next_step') or ''}".strip(),
}
"""Event kind → its sentence in the channel itself."""

SAVE_YOUR_WORK = (
    "Run your work under srun, save on SIGTERM, then call `scontrol requeue $SLURM_JOB_ID`: nothing is lost. "
    "With submitit: `export SUBMITIT_PREEMPT_SIGNAL=TERM` before you submit."
)


def line(event: Event, deployment: Deployment) -> str | None:
    """The sentence for the thread; None: not worth telling."""
    tell = LINES.get(event.kind)
    return " ".join(tell(event, deployment).split()) if tell else None


OWNER: dict[str, str] = {
    "victim.expected": "Heads-up: your job {handle} ({name}) is likely to be preempted by {model}. "
    "It has {at_stake} at stake. {warning}" + SAVE_YOUR_WORK,
    "victim.requeued": "Your job {handle} ({name}) was preempted by {model}. Slurm starts it again by itself.",
    "victim.cancelled": "Your job {handle} ({name}) was preempted by {model} and cancelled: please submit it again.",
    "victim.suspended": "Your job {handle} ({name}) is suspended while {model} needs its nodes.",
    "victim.resumed": "Your job {handle} ({name}) runs again.",
    "victim.spared": "Your job {handle} ({name}) was not needed after all; it goes on.",
}


ENDED_BY_ITSELF = (
    "Your job {handle} ({name}) ended by itself before {model} took its nodes. If it only ended because it was told to "
    "stop, submit it again: before Slurm 24.05 such a job is not requeued."
)
"""To the owner of a job that was expected to make room, and is over instead."""


def owner_line(event: Event, deployment: Deployment, warn_minutes: float = 0) -> str | None:
    """What the owner of a preempted job is told; None: nothing."""
    form = ENDED_BY_ITSELF if event.kind == "victim.spared" and event.detail.get("ended") else OWNER.get(event.kind)
    at_stake = gpu_hours(event.detail.get("gpu_hours") or 0)
    warning = f"Nothing is submitted for {duration(warn_minutes * 60)} from now on. " if warn_minutes else ""
    words = {"model": deployment.model, "at_stake": at_stake, "warning": warning, **event.detail}
    return form.format_map(words) if form else None


FATES = {
    victims.REQUEUED: "waits in the queue",
    victims.SUSPENDED: "is still suspended",
    victims.CANCELLED: "must be submitted again",
    victims.RESUMED: "runs again, or has run to its end",
}
"""What has become of a job that made room → in words; the other states were not touched."""


def back_for(owner: str, deployment: Deployment, made_room: Sequence[VictimRow], taken: float) -> str:
    """When the nodes come back: what the owner of some of these jobs is told."""
    mine = [f"job {v.handle} ({v.name}) {FATES[v.state]}" for v in made_room if v.user == owner]
    return f"The nodes are back: {deployment.model} has ended after {gpu_hours(taken)}. Your {', '.join(mine)}."


def back_for_all(deployment: Deployment, made_room: Sequence[VictimRow], taken: float) -> str:
    """When the nodes come back: one line for all researchers."""
    fates = [f"{sum(v.state == state for v in made_room)} {words}" for state, words in FATES.items()]
    told = ", ".join(said for said in fates if not said.startswith("0 "))
    return (
        f"The nodes are back: {deployment.model} has ended after {gpu_hours(taken)}. "
        f"Of {plural(len(made_room), 'job')} that made room: {told}."
    )
