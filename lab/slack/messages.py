"""Messages: post, change, remove, read; and the events that tell the app about them."""

from lab.slack.blocks import check_message_blocks
from lab.slack.elements import with_ids
from lab.slack.pings import pings
from lab.slack.refusals import Refusal
from lab.slack.seed import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID
from lab.slack.team import Team, now

TEXT_LIMIT = 40_000
METADATA_LIMIT = 16_000
LAB_ONLY = ("pings", "ephemeral_to")


def content(team: Team, args: dict) -> dict:
    """The checked text, blocks, attachments and metadata among `args`, ids filled in; Refusal as Slack's."""
    text = args.get("text")
    text = "" if text is None else str(text)
    blocks, attachments = args.get("blocks"), args.get("attachments")
    for value, refusal in ((blocks, "invalid_blocks_format"), (attachments, "invalid_attachments")):
        if value is not None and not isinstance(value, list):
            raise Refusal(refusal)
    if len(text) > TEXT_LIMIT:
        raise Refusal("msg_too_long")
    wrong = check_message_blocks(blocks or [])
    for attachment in attachments or []:
        wrong += check_message_blocks(attachment.get("blocks") or [])
    if wrong:
        raise Refusal("invalid_blocks", wrong)
    if blocks is not None:
        blocks = with_ids(blocks, team.block_id)
    if attachments is not None:
        attachments = [
            {**one, "id": n, "blocks": with_ids(one.get("blocks") or [], team.block_id)}
            for n, one in enumerate(attachments, 1)
        ]
    return {"text": text, "blocks": blocks, "attachments": attachments, "metadata": checked_metadata(args)}


def checked_metadata(args: dict) -> dict | None:
    metadata = args.get("metadata")
    if metadata is None or metadata == {}:
        return metadata
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise Refusal("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise Refusal("invalid_metadata_schema")
    if len(str(metadata)) > METADATA_LIMIT:
        raise Refusal("metadata_too_large")
    return {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}


def post(team: Team, channel: dict, author: str, said: dict, **more: object) -> dict:
    """Put a message into a channel and tell the app. `said` is `content`; `more` may hold thread_ts, files,
    ephemeral_to, reply_broadcast, subtype.

    Refusal no_text for an empty message and thread_not_found for a thread that is not there.
    """
    if not (said["text"] or said["blocks"] or said["attachments"] or more.get("files")):
        raise Refusal("no_text")
    message = {"type": "message", "channel": channel["id"], "ts": team.next_ts(), "user": author, "team": TEAM_ID}
    if author == BOT_USER_ID:
        message.update(bot_id=BOT_ID, app_id=APP_ID, bot_profile=bot_profile(team))
    thread_ts = more.pop("thread_ts", None)
    if thread_ts:
        parent = team.messages[channel["id"]].get(str(thread_ts))
        if parent is None:
            raise Refusal("thread_not_found")
        message["thread_ts"] = parent.get("thread_ts", parent["ts"])
    message.update({key: value for key, value in (*said.items(), *more.items()) if value})
    message["text"] = said["text"]
    message["pings"] = pings(said["text"], said["blocks"], said["attachments"])
    team.keep(message)
    if message.get("thread_ts") and not message.get("ephemeral_to"):
        count_replies(team, message)
    if not message.get("ephemeral_to"):
        announce(team, channel, message)
    return message


def bot_profile(team: Team) -> dict:
    return {"id": BOT_ID, "app_id": APP_ID, "name": team.seed.bot_name, "deleted": False, "team_id": TEAM_ID}


def count_replies(team: Team, reply: dict) -> None:
    there = team.messages[reply["channel"]]
    parent = there.get(reply["thread_ts"])
    if parent is None:
        return
    replies = [one for one in there.values() if one.get("thread_ts") == parent["ts"] and one is not parent]
    counted = {**parent, "thread_ts": parent["ts"], "reply_count": len(replies)}
    counted["reply_users"] = list(dict.fromkeys(one["user"] for one in replies))
    counted["reply_users_count"] = len(counted["reply_users"])
    counted["latest_reply"] = replies[-1]["ts"] if replies else None
    team.keep(counted)


def change(team: Team, message: dict, said: dict, given: set[str], author: str = BOT_USER_ID) -> dict:
    """Edit a message as chat.update does: blocks stay only when neither they nor a text are given."""
    changed = dict(message)
    if "text" in given:
        changed["text"] = said["text"]
    for name in ("blocks", "attachments", "metadata"):
        if name in given:
            changed[name] = said[name]
        elif name == "blocks" and "text" in given:
            changed.pop(name, None)
        if not changed.get(name):
            changed.pop(name, None)
    if not (changed.get("text") or changed.get("blocks") or changed.get("attachments")):
        raise Refusal("no_text")
    changed["edited"] = {"user": author, "ts": team.next_ts()}
    again = pings(changed["text"], changed.get("blocks"), changed.get("attachments"))
    changed["pings"] = sorted({*message["pings"], *again})
    team.keep(changed)
    return changed


def remove(team: Team, message: dict) -> None:
    team.forget(message)
    if message.get("thread_ts") not in (None, message["ts"]) and not message.get("ephemeral_to"):
        count_replies(team, message)


def public(message: dict, metadata: bool = False) -> dict:
    """A message as the Web API shows it, with its metadata only when asked for."""
    hidden = LAB_ONLY if metadata else (*LAB_ONLY, "metadata")
    return {key: value for key, value in message.items() if key not in hidden}


def top_level(team: Team, channel: str) -> list[dict]:
    """What the channel shows outside its threads, oldest first."""
    there = team.messages[channel].values()
    return [one for one in there if one.get("thread_ts", one["ts"]) == one["ts"] or one.get("reply_broadcast")]


def thread(team: Team, channel: str, ts: str) -> list[dict]:
    """A message and its replies, oldest first; Refusal thread_not_found."""
    parent = team.messages[channel].get(str(ts))
    if parent is None:
        raise Refusal("thread_not_found")
    root = parent.get("thread_ts", parent["ts"])
    return [one for one in team.messages[channel].values() if root in (one["ts"], one.get("thread_ts"))]


def announce(team: Team, channel: dict, message: dict) -> None:
    """Tell the app about a message, as its subscriptions say and only where it is a member."""
    if BOT_USER_ID not in channel["members"]:
        return
    shown = public(message)
    event = {**shown, "event_ts": message["ts"], "channel_type": channel["kind"]}
    if BOT_USER_ID in message["pings"] and message["user"] != BOT_USER_ID:
        send_event(team, {**event, "type": "app_mention"}, "app_mention")
    kind = {"im": "message.im", "mpim": "message.mpim"}.get(channel["kind"], "message.channels")
    send_event(team, event, kind)


def send_event(team: Team, event: dict, subscription: str) -> None:
    """Deliver one event to the app if it subscribed."""
    if subscription not in team.seed.events:
        return
    who = {"team_id": TEAM_ID, "user_id": BOT_USER_ID, "is_bot": True, "enterprise_id": None}
    team.sockets.deliver(
        {
            "type": "event_callback",
            "token": "lab",
            "team_id": TEAM_ID,
            "api_app_id": APP_ID,
            "event_id": team.new_id("Ev"),
            "event_time": now(),
            "event": event,
            "authorizations": [{**who, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }
    )
