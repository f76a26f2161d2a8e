"""response_url: a way to answer a command or a click for half an hour, five times, without a token."""

import time
import uuid

from lab.slack.messages import change, content, post, remove
from lab.slack.refusals import Refusal
from lab.slack.seed import BOT_USER_ID
from lab.slack.team import Team

LIVES = 30 * 60
USES = 5


def new_response_url(team: Team, user: str, channel: str, message: dict | None = None) -> str:
    """An address bound to this user and channel, and to the message that was clicked, if one was."""
    name = uuid.uuid4().hex
    thread = message and message.get("thread_ts")
    team.response_urls[name] = {
        "user": user,
        "channel": channel,
        "message": message and message["ts"],
        "thread_ts": thread if message and thread != message["ts"] else None,  # a thread's head stands in the channel
        "until": time.monotonic() + LIVES,
        "left": USES,
    }
    return f"{team.url}/response/{name}"


def respond(team: Team, name: str, args: dict) -> None:
    """One use of a response_url: replace or delete the message it belongs to, or say something new."""
    bound = team.response_urls.get(name)
    if bound is None or bound["until"] < time.monotonic():
        raise Refusal("expired_url")
    if bound["left"] <= 0:
        raise Refusal("used_url")
    bound["left"] -= 1
    answer(team, bound, args)


def answer(team: Team, bound: dict, args: dict) -> dict | None:
    """What `respond` does, also for the text in an acknowledgement; returns the message, None when it was deleted."""
    channel = team.channels[bound["channel"]]
    original = team.ephemeral.get(bound["message"]) or team.messages[channel["id"]].get(bound["message"])
    if args.get("delete_original"):
        if original:
            remove(team, original)
        return None
    said = content(team, args)
    if args.get("replace_original") and original:
        return change(team, original, said, set(args))
    whisper = {} if args.get("response_type") == "in_channel" else {"ephemeral_to": bound["user"]}
    thread_ts = args.get("thread_ts") or (bound["thread_ts"] if whisper else None)
    return post(team, channel, BOT_USER_ID, said, thread_ts=thread_ts, **whisper)
