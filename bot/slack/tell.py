"""Slack is told from the ledger: the cards as they are now, and one reply for each event, in order, each once."""

import json
from pathlib import Path

from bot import promise, stories
from bot.people import Directory
from bot.sentences import plural
from bot.slack import proposals
from bot.slack.cards import Message, after_a_failure, message, release_card, research_summary
from bot.slack.gate import SlackGate
from bot.slack.text import block_code, code, safe, section, told
from lifecycle import cursors, ending, queries, releases, reports
from lifecycle.deployments import TAG_OF
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment, Event, Release
from lifecycle.settings import Settings

CURSOR, HELLO = "told_slack", "hello_slack"
SHOWN = (releases.FOUND, releases.OFFERED, releases.SNOOZED)


def switched_off(ledger: Ledger) -> None:
    """Slack is not in the settings: when it comes back it begins with what there is then."""
    cursors.forget(ledger, CURSOR)
    cursors.forget(ledger, HELLO)


class Teller:
    """`step()` brings Slack up to what the ledger says. ChatUnavailable stops it; the next step goes on there.

    What happened before Slack was switched on is not told: one message says what there is, and cards show what lives.
    """

    def __init__(self, settings: Settings, ledger: Ledger, gate: SlackGate, directory: Directory):
        self._settings = settings
        self._channel = settings.slack.channel
        self._warn_minutes = settings.cluster.guards.warn_minutes
        self._promise_hours = settings.watch.promise_hours
        self._research = settings.slack.research_channel or settings.slack.channel
        self._ledger = ledger
        self._gate = gate
        self._shown: dict[int, int] = {}  # release → hash of the row that its card was last drawn from
        self._directory = directory
        if not queries.events_after(ledger.connection, 0, 1):
            cursors.begin(ledger, CURSOR)  # here from the beginning: all that comes is told

    def step(self) -> int:
        """The number of events told."""
        db = self._ledger.connection
        if cursors.is_new(db, CURSOR):
            cursors.begin(self._ledger, HELLO)  # the same after a crash: it greets once, and tells what came since
            self._greet(f"hello:{cursors.get(db, HELLO)}")
            cursors.put(self._ledger, CURSOR, cursors.get(db, HELLO))
        events = queries.events_after(db, cursors.get(db, CURSOR))
        owners = {d.id: d for d in queries.deployments(db, retired=True)} if events else {}
        touched = {owners[e.deployment_id].release_id for e in events if e.deployment_id in owners}
        self._cards(touched, {e.release_id for e in events if e.release_id})
        for event in events:
            self._tell(event, owners.get(event.deployment_id or ""))
            cursors.put(self._ledger, CURSOR, event.id)
        return len(events)

    def _greet(self, key: str) -> None:
        """Slack came late: it hears once what there is now, instead of all that has been."""
        db = self._ledger.connection
        found = queries.deployments(db)
        served = ", ".join(f"{code(d.model)} ({TAG_OF[d.state]})" for d in found if d.state in TAG_OF)
        coming = ", ".join(f"{code(d.model)} ({d.state.lower()})" for d in found if d.state not in TAG_OF)
        waiting = len(queries.releases_in(db, releases.OFFERED, releases.SNOOZED))
        lines = [
            "*dayzero tells here from now on.* What has been is in `dayzero history`; this is how things stand:",
            f"Served: {served or 'nothing yet'}",
            *([f"On its way: {coming}"] if coming else []),
            *([f"{plural(waiting, 'release')} wait for a decision; their cards follow."] if waiting else []),
        ]
        text = "\n".join(lines)
        self._gate.put(key, self._channel, message("dayzero tells here from now on.", [section(text[:2900])]))

    def _cards(self, touched: set[int | None], mentioned: set[int]) -> None:
        """Cards that may differ from what Slack shows: of live deployments, of those that events touched, and of
        releases whose row is another one than when it was drawn. A thousand that only wait cost one query.
        """
        db = self._ledger.connection
        live = {d.release_id: d for d in queries.deployments(db)}
        rows = self._rows(mentioned)
        changed = {row for row, mark in rows.items() if self._shown.get(row) != mark}
        for row in sorted(r for r in touched | set(live) | changed if r is not None):
            release = queries.release(db, row)
            deployment = live.get(row) or queries.newest_of_release(db, row)
            self._gate.put(_card_key(release), self._channel, self._card(release, deployment))
            if row in rows:
                self._shown[row] = rows[row]

    def _rows(self, mentioned: set[int]) -> dict[int, int]:
        """Release → hash of everything that its card is drawn from, of those that wait and those mentioned."""
        query = f"""
            SELECT id, state, revision, facts, plan, refusal, notes FROM releases
            WHERE state IN ({", ".join("?" * len(SHOWN))}) OR id IN (SELECT value FROM json_each(?))"""
        found = self._ledger.connection.execute(query, (*SHOWN, json.dumps(sorted(mentioned))))
        return {row["id"]: hash(tuple(row)) for row in found}

    def _card(self, release: Release, deployment: Deployment | None) -> Message:
        if deployment is not None and release.state != releases.APPROVED:
            deployment = None  # reopened: the new decision is what the card is about
        its_servers = queries.servers_of(self._ledger.connection, deployment.id) if deployment else []
        clock = promise.clock(self._ledger.connection, release, self._promise_hours)
        until = ending.ends_at(self._ledger.connection, deployment) if deployment else None
        return release_card(release, deployment, its_servers, self._ledger.clock(), clock, until)

    def _tell(self, event: Event, deployment: Deployment | None) -> None:
        if event.kind in stories.NOTICES:
            self._notice(event)
        if deployment is None or deployment.release_id is None:
            return
        card = f"release:{deployment.release_id}"
        if (line := stories.line(event, deployment)) is not None:
            blocks = [section(told(line))]
            if event.detail.get("tail"):
                blocks.append(section(block_code(event.detail["tail"])))
            blocks += proposals.buttons(event, self._ledger)
            if event.kind == "deployment.broke":
                blocks.append(after_a_failure(deployment))
            self._gate.put(f"event:{event.id}", self._channel, message(told(line, 300), blocks), thread_of=card)
        if event.detail.get("report"):
            self._report(event, deployment, card)
        if event.kind == "deployment.drained":
            self._back(event, deployment)
        if event.victim_id is not None:
            self._owner(event, deployment)
            self._summary(deployment)

    def _report(self, event: Event, deployment: Deployment, card: str) -> None:
        """Its picture, and a link to it; where there are no links, the page itself as a file."""
        key, run, picture = f"report:{event.id}", event.detail.get("run"), event.detail.get("picture")
        link = reports.link(self._settings, deployment.id, run)
        said = f"Report of Gauntlet run {run} of {code(deployment.id)}: {event.detail.get('outcome')}"
        said += f". <{link}|Read all of it>" if link else ""
        pages = [] if link else [(event.detail["report"], "The whole report")]
        found = [(picture, "The report at a glance"), *pages]
        files = [(Path(path), title) for path, title in found if path and Path(path).is_file()]
        if link and not files:
            self._gate.put(key, self._channel, message(said, [section(said)]), thread_of=card)
        else:
            self._gate.upload(key, self._channel, files, said, thread_of=card)

    def _owner(self, event: Event, deployment: Deployment) -> None:
        """The owner by direct message; whom nobody knows, in the channel of the researchers."""
        said = stories.owner_line(event, deployment, self._warn_minutes)
        if said is not None:
            self._direct(f"event:{event.id}:owner", event.detail.get("user", ""), said)

    def _direct(self, key: str, slurm_user: str, said: str) -> None:
        user = self._directory.slack_id_of_user(slurm_user)
        if user is not None:
            self._gate.put(key, self._gate.direct(user), message(told(said, 300), [section(told(said))]))
        else:
            text = f"{safe(slurm_user)}: {told(said)}"
            self._gate.put(key, self._research, message(text, [section(text)]))

    def _back(self, event: Event, deployment: Deployment) -> None:
        """The nodes come back: everybody whose job made room hears it, with what was taken."""
        db = self._ledger.connection
        made_room = [v for v in queries.victims_of(db, deployment.id) if v.state in stories.FATES]
        if not made_room:
            return
        taken = queries.gpu_hours_of(db, deployment.id)
        for user in sorted({v.user for v in made_room}):
            said = stories.back_for(user, deployment, made_room, taken)
            self._direct(f"event:{event.id}:back:{user}", user, said)
        said = stories.back_for_all(deployment, made_room, taken)
        self._gate.put(f"event:{event.id}:back", self._research, message(told(said, 300), [section(told(said))]))

    def _summary(self, deployment: Deployment) -> None:
        """One message for all researchers, kept up to date: who makes room for this model, and how each job is."""
        victims = queries.victims_of(self._ledger.connection, deployment.id)
        said = research_summary(deployment, victims)
        self._gate.put(f"victims:{deployment.id}", self._research, said)

    def _notice(self, event: Event) -> None:
        said = stories.NOTICES[event.kind](event)
        blocks = [section(told(said)), *proposals.buttons(event, self._ledger)]
        self._gate.put(f"event:{event.id}", self._channel, message(told(said, 300), blocks))


def _card_key(release: Release) -> str:
    return f"release:{release.id}"
