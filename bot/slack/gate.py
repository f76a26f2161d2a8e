"""The way to Slack: post or update by key, so that a kill at any moment posts nothing twice and loses nothing."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.cards import Message
from lifecycle.errors import ChatUnavailable, Permanent
from lifecycle.ledger import Ledger

EVENT_TYPE = "dayzero_post"
TRANSIENT = {
    "ratelimited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
}
LOOK_BACK = 200


class SlackRefused(Permanent):
    """Slack answered no: a wrong channel, a missing scope. Kept beside the post; the others go on."""


class SlackGate:
    """Posts are rows: the row is written before the message is sent, its `ts` after.

    A row without a `ts` was perhaps sent by a run that was killed: then the channel is searched for the post's own key,
    which travels in the message's metadata, before it is sent again.
    """

    def __init__(self, client: WebClient, ledger: Ledger):
        self._client = client
        self._ledger = ledger

    def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """One call of the Web API. ChatUnavailable: again later. SlackRefused: never."""
        try:
            return getattr(self._client, method.replace(".", "_"))(**arguments).data
        except SlackApiError as error:
            raise _in_our_words(method, error) from None
        except (SlackClientError, OSError) as error:
            raise ChatUnavailable(f"Slack gives no answer ({type(error).__name__}).") from None

    def put(self, key: str, channel: str, message: Message, thread_of: str | None = None) -> str | None:
        """Post under `key`, or update what stands under it when it differs. Returns its ts; None: Slack refused it.

        `thread_of`: the key of the message whose thread it belongs to.
        """
        digest = hashlib.sha256(json.dumps([message.text, message.blocks]).encode()).hexdigest()
        row = self._row(key)
        if row is not None and row["digest"] == digest and (row["ts"] or row["error"]):
            return row["ts"]
        thread = self._row(thread_of) if thread_of else None
        thread_ts = thread["ts"] if thread else None
        if row is None:
            self._intend(key, channel, thread_ts)
        ts = row["ts"] if row else None
        if ts is None and row is not None and not row["error"]:
            ts = self._find(key, row["channel"], row["thread_ts"])
        try:
            if ts is None:
                ts = self._post(key, channel, message, thread_ts)
            else:
                where = row["channel"] if row else channel
                self.call("chat.update", channel=where, ts=ts, text=message.text, blocks=message.blocks)
        except SlackRefused as refusal:
            self._write(key, ts, digest, str(refusal))
            return ts
        self._write(key, ts, digest, "")
        return ts

    def upload(self, key: str, channel: str, files: list[tuple[Path, str]], comment: str, thread_of: str) -> None:
        """Files into a thread, once. The title carries the key, because a file's message carries no metadata."""
        row = self._row(key)
        thread = self._row(thread_of)
        if (row is not None and row["posted_at"]) or not files:
            return
        if row is None:
            self._intend(key, channel, thread["ts"] if thread else None)
        elif self._uploaded(key, row):
            self._write(key, None, "uploaded", "")
            return
        uploads = [{"file": str(path), "filename": path.name, "title": f"{title} ({key})"} for path, title in files]
        try:
            self._client.files_upload_v2(
                file_uploads=uploads, channel=self.channel_id(channel), thread_ts=thread["ts"] if thread else None,
                initial_comment=comment,
            )  # fmt: skip
        except SlackApiError as error:
            refusal = _in_our_words("files_upload_v2", error)
            if refusal.retryable:
                raise refusal from None
            self._write(key, None, "refused", str(refusal))
            return
        except (SlackClientError, OSError) as error:
            raise ChatUnavailable(f"Slack gives no answer ({type(error).__name__}).") from None
        self._write(key, None, "uploaded", "")

    def channel_id(self, channel: str) -> str:
        """Files want an id where messages take a name."""
        if not channel.startswith("#"):
            return channel
        cursor = ""
        while True:
            page = self.call("conversations.list", limit=200, **({"cursor": cursor} if cursor else {}))
            for found in page["channels"]:
                if found["name"] == channel[1:]:
                    return found["id"]
            cursor = page.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                raise SlackRefused(f"Slack knows no channel {channel}.", "Invite the bot, or mend slack.channel.")

    def direct(self, user: str) -> str:
        """The channel of direct messages with a user id."""
        return self.call("conversations.open", users=user)["channel"]["id"]

    def _post(self, key: str, channel: str, message: Message, thread_ts: str | None) -> str:
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}
        thread = {"thread_ts": thread_ts} if thread_ts else {}
        answer = self.call(
            "chat.postMessage", channel=channel, text=message.text, blocks=message.blocks, metadata=metadata,
            unfurl_links=False, **thread,
        )  # fmt: skip
        self._ledger.connection.execute("UPDATE posts SET channel = ? WHERE key = ?", (answer["channel"], key))
        return answer["ts"]

    def _find(self, key: str, channel: str, thread_ts: str | None) -> str | None:
        """The ts of a message that an earlier run sent under this key and did not live to write down."""
        where = {"channel": self.channel_id(channel), "limit": LOOK_BACK, "include_all_metadata": True}
        if thread_ts:
            page = self.call("conversations.replies", ts=thread_ts, **where)
        else:
            page = self.call("conversations.history", **where)
        for found in page["messages"]:
            if (found.get("metadata") or {}).get("event_payload", {}).get("key") == key:
                self._ledger.connection.execute("UPDATE posts SET channel = ? WHERE key = ?", (where["channel"], key))
                return found["ts"]
        return None

    def _uploaded(self, key: str, row: Mapping[str, Any]) -> bool:
        where = {"channel": self.channel_id(row["channel"]), "limit": LOOK_BACK}
        if row["thread_ts"]:
            page = self.call("conversations.replies", ts=row["thread_ts"], **where)
        else:
            page = self.call("conversations.history", **where)
        return any(f"({key})" in (f.get("title") or "") for m in page["messages"] for f in m.get("files") or ())

    def _row(self, key: str) -> Mapping[str, Any] | None:
        return self._ledger.connection.execute("SELECT * FROM posts WHERE key = ?", (key,)).fetchone()

    def _intend(self, key: str, channel: str, thread_ts: str | None) -> None:
        with self._ledger.write() as db:
            db.execute(
                "INSERT INTO posts (key, channel, thread_ts, intended_at) VALUES (?, ?, ?, ?)",
                (key, channel, thread_ts, self._ledger.clock()),
            )

    def _write(self, key: str, ts: str | None, digest: str, error: str) -> None:
        with self._ledger.write() as db:
            db.execute(
                "UPDATE posts SET ts = ?, digest = ?, error = ?, posted_at = ? WHERE key = ?",
                (ts, digest, error, self._ledger.clock(), key),
            )


def _in_our_words(method: str, error: SlackApiError) -> ChatUnavailable | SlackRefused:
    answer = error.response
    status = getattr(answer, "status_code", 200)
    word = answer.get("error", "") if hasattr(answer, "get") and isinstance(answer.data, dict) else ""
    if status == 429 or status >= 500 or word in TRANSIENT:
        wait = (getattr(answer, "headers", None) or {}).get("Retry-After")
        seconds = float(wait) if wait and str(wait).isdigit() else None
        return ChatUnavailable(f"Slack asks to wait ({word or status}).", retry_after_s=seconds)
    return SlackRefused(f"Slack refused {method}: {word or status}.")
