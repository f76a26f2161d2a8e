"""The grading channel: one message for each run that waits for people, and a window with one answer after the other.

Blind: neither the message nor the window says whose answers they are, what others said, or what a judge thought. The
model is named when the run is closed.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slack_bolt import App
from slack_sdk.models.blocks import (
    Block,
    ButtonElement,
    InputBlock,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    SectionBlock,
)

from bot.grading import Question, Standing, marks, rate, settle, standing
from bot.sentences import bar, plural
from bot.slack.cards import Message, message
from bot.slack.gate import SlackGate
from bot.slack.text import actions, context, divider, header, safe, section
from gauntlet.answers import FAIL, PASS
from gauntlet.runfiles import NoRun
from lifecycle import deployments as states
from lifecycle import queries
from lifecycle.errors import DayzeroError
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment
from lifecycle.runfolder import RunFolder
from lifecycle.settings import Settings

log = logging.getLogger("dayzero.slack")

CALLBACK = "grading"
PIECE, PIECES = 2900, 4  # characters of a section, sections of one text: Slack takes 3,000 and 100
OVER = "It is closed: nothing waits for a grade here any more."


class Graders:
    """`step()` keeps the channel's messages as the files are; `register(app)` hears the clicks."""

    def __init__(self, settings: Settings, ledger: Ledger, gate: SlackGate):
        self._channel = settings.slack.grading_channel
        self._wanted = settings.slack.graders
        self._shared = settings.site.shared
        self._ledger = ledger
        self._gate = gate
        self._seen: dict[str, Sequence[int]] = {}
        self._closed: set[str] = set()

    def step(self) -> None:
        """One message per run that is HELD with open answers; a run that is no longer held is closed in its message."""
        if not self._channel:
            return
        db = self._ledger.connection
        held = {_key(d.id, d.exam): d for d in queries.deployments(db) if d.state == states.HELD}
        for key, deployment in held.items():
            self._show(key, deployment)
        for row in db.execute("SELECT key FROM posts WHERE key LIKE 'grading:%'").fetchall():
            if row["key"] not in held and row["key"] not in self._closed:
                name = row["key"].split(":")[1]
                self._gate.put(row["key"], self._channel, closed(queries.deployment(db, name)))
                self._closed.add(row["key"])

    def _show(self, key: str, deployment: Deployment) -> None:
        folder = self._folder(deployment.id, deployment.exam)
        before = marks(folder)
        if self._seen.get(key) == before:
            return
        try:
            now = standing(folder, self._wanted)
        except NoRun as gone:
            log.warning("%s: %s", key, gone.advice)
            now = Standing((), (), self._wanted)
        if now.questions:
            settle(folder, now)
            self._gate.put(key, self._channel, invitation(key, now))
        self._seen[key] = before

    def opened(self, body: dict[str, Any]) -> None:
        """Somebody clicked Grade: the window with what is next for them."""
        key = body["actions"][0]["value"]
        view = self._view(key, body["user"]["id"])
        self._gate.call("views.open", trigger_id=body["trigger_id"], view=view)

    def submitted(self, ack: Callable, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Keep the word, show the next answer in the same window. The word is on disk before Slack hears of it."""
        try:
            place = json.loads(view["private_metadata"])
            values = {name: one for block in view["state"]["values"].values() for name, one in block.items()}
            grade, comment = values["grade"]["selected_option"]["value"], values["comment"]["value"] or ""
            user = body["user"]
            name = user.get("username") or user.get("name") or user["id"]
            if self._held(place["key"]):
                rate(self._place(place["key"]), place["sample"], user["id"], name, grade, comment)
            ack(response_action="update", view=self._view(place["key"], user["id"]))
        except DayzeroError as error:
            ack(response_action="errors", errors={_block_of(view): error.advice})
        except Exception:
            log.exception("a grade stumbled")
            said = "Something went wrong here; it is in the service's log. Try again."
            ack(response_action="errors", errors={_block_of(view): said})

    def _view(self, key: str, user: str) -> dict[str, Any]:
        if not self._held(key):
            return window([section(OVER)])
        now = standing(self._place(key), self._wanted)
        question = now.next_for(user)
        if question is None:
            return window(_thanks(now))
        return asking(key, question, now, user)

    def _held(self, key: str) -> bool:
        _, name, run = key.split(":")
        deployment = queries.deployment(self._ledger.connection, name)
        return deployment.state == states.HELD and deployment.exam == int(run)

    def _place(self, key: str) -> Path:
        _, name, run = key.split(":")
        return self._folder(name, int(run))

    def _folder(self, name: str, run: int) -> Path:
        return RunFolder(self._shared, name).gauntlet(run)

    def register(self, app: App, ack: Callable, listen: Callable) -> None:
        app.action("grade")(ack=ack, lazy=[listen(self.opened)])
        app.view(CALLBACK)(self.submitted)


def _block_of(view: dict[str, Any]) -> str:
    """The input under which an error is shown."""
    return next(block["block_id"] for block in view["blocks"] if block["block_id"].startswith("grade-"))


def _key(name: str, run: int) -> str:
    return f"grading:{name}:{run}"


def invitation(key: str, now: Standing) -> Message:
    """What waits, who has rated how many, how far they agree."""
    total, settled, differing = len(now.questions), len(now.settled), len(now.differing)
    left = total - settled
    title = f"{plural(left, 'answer')} to grade" if left else "Every answer is graded"
    lines = [f"{bar(settled / total)} {settled} of {total} settled; each wants {now.wanted} people who agree"]
    if now.ratings:
        lines.append(", ".join(f"{safe(name, 60)} rated {count}" for name, count in now.counts().items()))
    lines += [safe(sentence) for sentence in now.agreements()[:5]]
    if differing:
        lines.append(f"They differ on {differing}: open it again, both of you, and read what the other says")
    blocks = [header(title), section("\n".join(lines))]
    if left:
        button = ButtonElement(text="Grade", action_id="grade", value=key, style="primary")
        blocks.append(actions([button], block_id="grading"))
    blocks.append(context("Of a model under test. Its name is told when all is graded; the verdict follows by itself."))
    return message(title, blocks)


def closed(deployment: Deployment) -> Message:
    """After the verdict: now it may be said whose answers they were."""
    verdict = deployment.verdict or {}
    people = (verdict.get("summary") or {}).get("graded_by_people") or 0
    by = f"with {plural(people, 'answer')} graded by people" if people else "by a person's word"
    text = f"{safe(deployment.model)}: {safe(verdict.get('outcome') or deployment.state)}"
    said = f"*{text}*, {by}. Thank you." if people else f"*{text}*. It is no longer held."
    return message(text, [section(said)])


def asking(key: str, question: Question, now: Standing, user: str) -> dict[str, Any]:
    """One answer in a window. Where people differ, with what the others say."""
    mine = next((r for r in now.of(question.id) if r.user == user), None)
    done = sum(r.user == user for r in now.ratings)
    blocks: list[Block] = [context(f"{safe(question.category, 100)} · you have rated {done} of {len(now.questions)}")]
    if mine is not None:
        others = [f"“{safe(r.comment or 'no comment', 500)}”" for r in now.of(question.id) if r.user != user]
        blocks.append(section(f"*Somebody sees this one differently:* {' '.join(others)}"))
    blocks += [section("*The question*"), *_pieces(question.asked)]
    if question.reference:
        blocks += [section("*A good answer says*"), *_pieces(question.reference)]
    for n, answer in enumerate(question.answers, 1):
        title = "The answer" if len(question.answers) == 1 else f"Answer {n}"
        blocks += [divider(), section(f"*{title}*"), *_pieces(answer or "(empty)")]
    tag = hashlib.sha256(question.id.encode()).hexdigest()[:12]
    options = [Option(value=PASS, text="Good enough"), Option(value=FAIL, text="Not good enough")]
    initial = next((o for o in options if mine is not None and o.value == mine.grade), None)
    radio = RadioButtonsElement(action_id="grade", options=options, initial_option=initial)
    words = PlainTextInputElement(
        action_id="comment", multiline=True, max_length=1000, initial_value=mine.comment if mine else None
    )
    blocks += [
        divider(),
        # the ids carry the sample: else the window keeps what was chosen for the answer before
        InputBlock(block_id=f"grade-{tag}", label="All in all", element=radio),
        InputBlock(block_id=f"comment-{tag}", label="Why (others may read it)", element=words, optional=True),
    ]
    view = window(blocks)
    place = json.dumps({"key": key, "sample": question.id})
    submit = {"type": "plain_text", "text": "Save, next"}
    return {**view, "callback_id": CALLBACK, "private_metadata": place, "submit": submit}


def window(blocks: Sequence[Block]) -> dict[str, Any]:
    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    return {
        "type": "modal",
        "title": plain("Grading"),
        "close": plain("Close"),
        "blocks": [block.to_dict() for block in blocks],
    }


def _thanks(now: Standing) -> list[Block]:
    waiting = len(now.questions) - len(now.settled)
    rest = f"{plural(waiting, 'answer')} wait for somebody else." if waiting else "Everything is graded."
    return [section(f"*Nothing is left for you.* {rest} Thank you.")]


def _pieces(text: str) -> list[Block]:
    """A long text in plain sections: nothing in it can ping, link or format."""
    pieces = [text[n : n + PIECE] for n in range(0, len(text), PIECE)]
    shown = [*pieces[:PIECES], *(["… (the rest is in the report)"] if len(pieces) > PIECES else [])]
    return [SectionBlock(text=PlainTextObject(text=piece, emoji=False)) for piece in shown if piece.strip()]
