"""A person of the workspace, for tests and the headless demo: does what a hand would do in the page, and sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.slack.elements import interactive
from lab.slack.wire import Wire


@dataclass(frozen=True)
class Seen:
    """What the person saw happen. `error` is Slack's word (operation_timeout, field_errors, ...), `text` the sentence
    on the screen, `errors` sentences under a modal's fields, `message` an ephemeral answer or the message just said,
    `view` the modal that is open now.
    """

    ok: bool
    error: str = ""
    text: str = ""
    errors: dict = field(default_factory=dict)
    message: dict | None = None
    view: dict | None = None
    url: str | None = None

    def __bool__(self) -> bool:
        return self.ok


class Person:
    """Acts as one member. Channels are `#models`, ids, or `@dayzero` for the direct conversation with the app."""

    def __init__(self, workspace_url: str, name: str, timeout: float = 30.0):
        self.name = name
        self.wire = Wire(workspace_url, timeout)

    # -- doing

    def say(self, channel: str, text: str, thread_ts: str | None = None) -> Seen:
        return self._act("say", channel=channel, text=text, thread_ts=thread_ts)

    def command(self, command: str, text: str = "", channel: str = "#models") -> Seen:
        """Run a slash command and wait for its acknowledgement (at most three seconds)."""
        return self._act("command", command=command, text=text, channel=channel)

    def click(
        self,
        action_id: str,
        channel: str | None = None,
        ts: str | None = None,
        *,
        value: object = None,
        values: dict | None = None,
        block_id: str | None = None,
        where: str | None = None,
        timeout: float = 0.0,
    ) -> Seen:
        """Click a button or choose `value`, in message `ts`, else in the newest message of `channel` that has it.

        `where` is "modal" or "home" for those. With `timeout`, waits that many seconds for it to appear.
        """
        deadline = time.monotonic() + timeout
        args = {"channel": channel, "ts": ts, "value": value, "values": values, "block_id": block_id, "where": where}
        while True:
            seen = self._act("click", action_id=action_id, **args)
            if seen.error != "no_such_action" or time.monotonic() > deadline:
                return seen
            time.sleep(0.05)

    def submit(self, values: dict | None = None, timeout: float = 5.0) -> Seen:
        """Fill the open modal and submit it; waits up to `timeout` seconds for one to open.

        `values` maps block ids or action ids to text, an option's value (or its text), or a list of those.
        """
        view = self.modal(timeout)
        if view is None:
            return Seen(False, "no_open_modal", f"no modal opened for {self.name} within {timeout:g} s")
        return self._act("submit", values=values or {}, view_id=view["id"])

    def close(self, everything: bool = False) -> Seen:
        """Close the top modal, or all."""
        return self._act("close", all=everything)

    def open_home(self) -> Seen:
        """Look at the app's Home tab as it is now; the app hears of it and may publish a new one: see `home()`."""
        return self._act("open_home")

    def react(self, channel: str, ts: str, name: str) -> Seen:
        return self._act("react", channel=channel, ts=ts, name=name)

    def _act(self, act: str, **args: object) -> Seen:
        given = {key: value for key, value in args.items() if value is not None}
        answer = self.wire.post(f"/_lab/act/{act}", {"as": self.name, **given})
        return Seen(**{key: answer[key] for key in Seen.__dataclass_fields__ if key in answer})

    # -- seeing

    def messages(self, channel: str = "#models") -> list[dict]:
        """Top-level messages of a channel with what only this person sees (`ephemeral_to`), oldest first.

        Each carries `pings`: whom it notified.
        """
        return self._read("messages", channel=channel)

    def thread(self, channel: str, ts: str) -> list[dict]:
        """A message and its replies, oldest first."""
        return self._read("thread", channel=channel, ts=ts)

    def dms(self) -> list[dict]:
        """The direct conversation with the app, oldest first."""
        return self.messages("@" + self.name)

    def modal(self, timeout: float = 0.0) -> dict | None:
        """The modal on the screen, waiting for one up to `timeout` seconds."""
        return self._wait(lambda: self._state()["modal"], timeout)

    def home(self) -> dict | None:
        return self._state()["home"]

    def sees(self, channel: str, wanted: str | Callable[[dict], bool], timeout: float = 10.0) -> dict:
        """The newest message of a channel in which `wanted` is true, or whose words contain it; waits for it.

        Raises AssertionError with what was there instead.
        """
        matches = wanted if callable(wanted) else lambda message: wanted in words(message)
        found = self._wait(
            lambda: next((one for one in reversed(self.messages(channel)) if matches(one)), None), timeout
        )
        if found is None:
            there = [words(one)[:200] for one in self.messages(channel)[-5:]]
            raise AssertionError(f"{self.name} waited {timeout:g} s in {channel} for {wanted!r}; last there: {there}")
        return found

    def _wait(self, look: Callable[[], dict | None], timeout: float) -> dict | None:
        deadline = time.monotonic() + timeout
        while (seen := look()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return seen

    def _state(self) -> dict:
        return self.wire.get("/_lab/state", **{"as": self.name})

    def _read(self, what: str, **params: str) -> list[dict]:
        answer = self.wire.get(f"/_lab/{what}", **{"as": self.name, **params})
        if not answer["ok"]:
            raise LookupError(f"{self.name} can't read {params}: {answer['error']}")
        return answer["messages"]


def words(part: object) -> str:
    """All the text a reader sees in a message, blocks included."""
    if isinstance(part, list):
        return "\n".join(words(one) for one in part)
    if not isinstance(part, dict):
        return ""
    inside = [part[key] for key in ("text", "title", "name") if isinstance(part.get(key), str)]
    keys = ("blocks", "attachments", "elements", "fields", "text", "accessory", "element", "label", "title", "files")
    return "\n".join([*inside, *(words(part.get(key)) for key in keys)])


def buttons(message: dict) -> list[str]:
    """The action ids in a message, in reading order."""
    return [element["action_id"] for _, element in interactive(message.get("blocks"), message.get("attachments"))]
