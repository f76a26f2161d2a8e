"""Cards: one message per release: what it is, how it would be served, and later how it is getting on. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import Block, ButtonElement, ConfirmObject

from bot import show, stories
from bot.promise import Clock
from bot.sentences import duration, params, plural, size
from bot.sight import sight, smaller_of
from bot.slack.planned import instead, moment, shown
from bot.slack.text import actions, code, context, divider, fields, header, safe, section, told
from lifecycle import deployments, releases, servers
from lifecycle.ending import TIMED
from lifecycle.models import ModelFacts
from lifecycle.records import Deployment, Release, Server, VictimRow
from lifecycle.victims import CANCELLED, EXPECTED, REQUEUED, RESUMED, SPARED, SUSPENDED

LATER_S = 3600


@dataclass(frozen=True)
class Message:
    """`text` is what notifications and screen readers get; `blocks` are dicts as the API takes them."""

    text: str
    blocks: list[dict]


def message(text: str, blocks: Sequence[Block]) -> Message:
    """Slack's limits are checked here, by slack_sdk's own models."""
    return Message(text, [block.to_dict() for block in blocks])


def release_card(
    release: Release, deployment: Deployment | None, its_servers: Sequence[Server], now: float,
    clock: Clock | None = None, until: float | None = None,
) -> Message:  # fmt: skip
    """The card of a model: before the decision with buttons, after it with progress. `clock`: of the promise;
    `until`: when the time is over that it was approved for."""
    if release.kind == "framework":
        return _framework(release)
    blocks = [header(release.repo)]
    facts = release.facts
    if facts:
        blocks.append(_facts(facts))
    if deployment is not None:
        blocks += _under_way(deployment, its_servers, now, until)
        text = f"{release.repo}: {deployment.state}"
    elif release.state in (releases.OFFERED, releases.SNOOZED) and (release.plan or smaller_of(release)):
        blocks += [divider(), *_proposal(release), _decision(release)]
        text = f"New model {release.repo}: approve it?"
    else:
        blocks.append(section(told(release.refusal or release.state, 1500)))
        text = f"{release.repo}: {release.refusal or release.state}"
    stand = f"{release.state} · {code(release.revision[:12])} · seen {moment(release.found_at)}"
    stand += f" · {_promise(clock)}" if clock else ""
    if release.notes.get("base"):
        stand += f" · {safe(release.notes['kind'])} of {safe(release.notes['base'])}"
    return message(safe(text), [*blocks, context(stand)])


def _facts(facts: ModelFacts) -> Block:
    active = f" ({params(facts.params_active)} active)" if facts.params_active else ""
    return fields(
        [
            ("Parameters", params(facts.params) + active),
            ("Licence", safe(facts.license or "unknown", 80)),
            ("Architecture", safe(facts.architecture or "unknown", 80)),
            ("Context", f"{facts.context:,} tokens" if facts.context else "unknown"),
            ("Weights", f"{size(facts.weights_bytes)}, {safe(facts.dtype or 'unknown dtype', 40)}"),
            ("On disk", size(facts.total_bytes)),
            ("Gated", "yes" if facts.gated else "no"),
            ("Remote code", "needed" if facts.needs_remote_code else "not needed"),
        ]
    )


def _proposal(release: Release) -> list[Block]:
    """The plan, and the quantized one beside it."""
    smaller = smaller_of(release)
    if release.plan is None:
        blocks = [section(told(release.refusal or "It can't be served as it is.", 1500))]
    else:
        blocks = shown(release.plan)
    return [*blocks, section(instead(smaller))] if smaller else blocks


def _decision(release: Release) -> Block:
    smaller = smaller_of(release)
    shown = release.plan or smaller
    assert shown is not None
    value = f"{release.id}:{sight(shown)}"
    confirm = ConfirmObject(title="Skip it?", text="Nobody will be asked again.", confirm="Skip", deny="Back")
    approve = [ButtonElement(text="Approve", action_id="approve", value=value, style="primary")] if release.plan else []
    if smaller:
        other = f"{release.id}:{sight(smaller)}"
        approve.append(ButtonElement(text="Approve quantized", action_id="approve_quantized", value=other))
    return actions(
        [
            *approve,
            ButtonElement(text="Details", action_id="details", value=value),
            ButtonElement(text="Later", action_id="later", value=value),
            ButtonElement(text="Skip", action_id="skip", value=value, style="danger", confirm=confirm),
        ],
        block_id=f"decide-{release.id}-{sight(shown)}-{sight(smaller) if smaller else ''}",
    )


RESTING = frozenset(
    {deployments.PREVIEW, deployments.STABLE, deployments.HELD, deployments.BROKEN, deployments.RETIRED}
)
"""Here nothing moves by itself: their cards are not sent again and again."""

STAGES = [
    (deployments.CACHING, "weights"),
    (deployments.STARTING, "server"),
    (deployments.LISTING, "gateway"),
    (deployments.TESTING, "Gauntlet"),
    (deployments.PREVIEW, "preview"),
]


def _under_way(deployment: Deployment, its_servers: Sequence[Server], now: float, until: float | None) -> list[Block]:
    up = next((server for server in its_servers if server.state == servers.UP), None)
    rests = deployment.state in RESTING
    how_long = f"since {moment(deployment.since)}" if rests else f"for {duration(now - deployment.since)}"
    ends = f" · until {moment(until)}" if until is not None and deployment.state in TIMED else ""
    lines = [f"*{deployment.state}* {how_long} · {code(deployment.id)}{ends}", _trail(deployment)]
    if line := show.progress(deployment):
        lines.append(safe(line, 600))
    if up is not None:
        lines.append(f"served by {safe(up.engine, 40)} on {safe(up.nodes or 'this host', 100)}")
    if deployment.next_step:
        lines.append(f"*Next:* {told(deployment.next_step, 400)}")
    blocks: list[Block] = [divider(), section("\n".join(lines))]
    if buttons := _buttons(deployment):
        blocks.append(actions(buttons, block_id=f"care-{deployment.id}-{deployment.state}"))
    return blocks


def _trail(deployment: Deployment) -> str:
    """Where it is on the straight line: done, now, to come."""
    state = deployment.broke_in if deployment.state == deployments.BROKEN else deployment.state
    order = [name for name, _ in STAGES]
    if state == deployments.HELD:
        state = deployments.TESTING
    if state in (deployments.STABLE, deployments.PREVIEW):
        here = len(order)
    elif state in order:
        here = order.index(state)
    else:
        return "given back" if state == deployments.RETIRED else "its GPUs are being given back"
    return " ".join(f"{'●' if i < here else '◐' if i == here else '○'} {label}" for i, (_, label) in enumerate(STAGES))


def _buttons(deployment: Deployment) -> list[ButtonElement]:
    def button(text: str, action: str, style: str | None = None) -> ButtonElement:
        return ButtonElement(text=text, action_id=action, value=deployment.id, style=style)

    see = [button("Details", "details")] if deployment.release_id else []
    see.append(button("Logs", "logs"))
    if deployment.plan.lasts_s is not None and deployment.state in TIMED:
        see.insert(0, button("Extend 12 h", "extend"))
    if deployment.replaces is not None and deployment.state in TIMED:
        see.insert(0, button("Roll back", "rollback"))
    match deployment.state:
        case deployments.BROKEN:
            return [button("Retry", "retry", "primary"), *see, button("Abandon", "abandon", "danger")]
        case deployments.HELD:
            decide = [button("Pass", "pass", "primary"), button("Fail", "fail", "danger")]
            return [*decide, button("Test again", "retry"), *see]
        case deployments.PREVIEW:
            return [button("Promote to stable", "promote", "primary"), *see, button("Retire", "retire", "danger")]
        case deployments.STABLE:
            return [button("Back to preview", "demote"), *see, button("Retire", "retire", "danger")]
        case deployments.CACHING | deployments.STARTING | deployments.LISTING | deployments.TESTING:
            return [*see, button("Cancel", "abandon", "danger")]
    return see[1:]  # what is over is not offered again here


def after_a_failure(deployment: Deployment) -> Block:
    """Below the sentence and the end of the log, in the thread."""
    retry = ButtonElement(text="Retry", action_id="retry", value=deployment.id, style="primary")
    logs = ButtonElement(text="Logs", action_id="logs", value=deployment.id)
    return actions([retry, logs], block_id=f"broke-{deployment.id}")


def research_summary(deployment: Deployment, victims: Sequence[VictimRow]) -> Message:
    """For the researchers' channel: the jobs that make room for a model, each with what became of it."""
    lines = [
        f"• job {code(v.handle, 20)} {safe(v.name, 60)} of {safe(v.user, 40)}, {plural(v.gpus, 'GPU')}: "
        f"{VICTIM_WORDS[v.state]}"
        for v in victims[:30]
    ]
    text = f"{plural(len(victims), 'research job')} make room for {safe(deployment.model)}"
    return message(text, [section("\n".join([f"*{text}*", *lines])), context(told(stories.SAVE_YOUR_WORK, 500))])


VICTIM_WORDS = {
    EXPECTED: "may be preempted soon",
    REQUEUED: "was preempted, waits again",
    CANCELLED: "was preempted and cancelled: must be resubmitted",
    SUSPENDED: "is suspended",
    RESUMED: "runs again",
    SPARED: "was not needed",
}


def _promise(clock: Clock) -> str:
    """As a moment, not as what is left: a card that changed each minute would be sent each minute."""
    if clock.reached is not None:
        return clock.words(clock.reached)
    return f"due in preview {moment(clock.due)}"


def _framework(release: Release) -> Message:
    title = release.notes.get("title", release.revision)
    url = str(release.notes.get("url", ""))
    link = f"<{url}|release notes>" if url.startswith("https://") and not set(url) & set("<>|") else safe(url)
    text = f"*{safe(release.repo)}* {safe(title)} is released: {link}"
    return message(safe(f"{release.repo} {release.revision} is released"), [section(text)])
