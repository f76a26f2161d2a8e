"""The workspace's state: everything that is in it, who may see it, and what a restart keeps."""

import itertools
import time
import uuid

from lab.slack.faults import Faults
from lab.slack.feed import Feed
from lab.slack.refusals import Refusal
from lab.slack.seed import APP_ID, BOT_ID, BOT_USER_ID, SLACKBOT_ID, TEAM_ID, Seed, capitals
from lab.slack.store import Store


class Team:
    """One workspace. Touched only from its event loop; every change is in the store before anybody is told."""

    def __init__(self, seed: Seed, store: Store, url: str):
        self.seed = seed
        self.store = store
        self.url = url
        self.feed = Feed()
        self.faults = Faults()
        self.requests: list[dict] = []
        self.sockets = None
        self.users = users(seed)
        self.channels = store.all("channel")
        self.messages: dict[str, dict[str, dict]] = {channel: {} for channel in self.channels}
        for message in store.all("message").values():
            self.messages[message["channel"]][message["ts"]] = message
        self.ephemeral: dict[str, dict] = {}
        self.files = store.all("file")
        self.homes = store.all("home")
        self.modals: dict[str, list[dict]] = {}
        self.triggers: dict[str, dict] = {}
        self.response_urls: dict[str, dict] = {}
        self.numbers = itertools.count(1)
        self.last_ts = max((ts for there in self.messages.values() for ts in there), default="0.0")
        for channel in seed.channels:
            self.add_channel(channel.name, channel.topic, bot=channel.bot)
        for member in seed.members:
            self.dm(member.id)

    def next_ts(self) -> str:
        """A message's name: seconds with six decimals, later than every earlier one, even if the clock goes back."""
        micros = max(int(time.time() * 1e6), int(self.last_ts.replace(".", "")) + 1)
        self.last_ts = f"{micros // 1000000}.{micros % 1000000:06d}"
        return self.last_ts

    def new_id(self, prefix: str) -> str:
        return f"{prefix}0{uuid.uuid4().hex[:9].upper()}"

    def block_id(self) -> str:
        return uuid.uuid4().hex[:5]

    # -- people

    def user(self, ref: str) -> dict:
        """A user by id, @handle or handle; Refusal user_not_found."""
        for user in self.users.values():
            if ref in (user["id"], user["name"], "@" + user["name"]):
                return user
        raise Refusal("user_not_found")

    # -- channels

    def add_channel(self, name: str, topic: str = "", bot: bool = True) -> dict:
        members = [member.id for member in self.seed.members] + ([BOT_USER_ID] if bot else [])
        channel_id = "C0" + capitals(name)
        if channel_id in self.channels:
            return self.channels[channel_id]
        return self.keep_channel(
            {"id": channel_id, "kind": "channel", "name": name, "topic": topic, "members": members, "created": now()}
        )

    def dm(self, *user_ids: str) -> dict:
        """The direct conversation of the app with these users, opened if need be."""
        if len(user_ids) == 1:
            channel_id = "D0" + user_ids[0].removeprefix("U0")
            kind, name = "im", ""
        else:
            handles = sorted(self.users[one]["name"] for one in user_ids)
            channel_id, kind, name = "G0" + capitals("".join(handles)), "mpim", f"mpdm-{'--'.join(handles)}-1"
        if channel_id not in self.channels:
            members = [*user_ids, BOT_USER_ID]
            self.keep_channel(
                {"id": channel_id, "kind": kind, "name": name, "topic": "", "members": members, "created": now()}
            )
        return self.channels[channel_id]

    def keep_channel(self, channel: dict) -> dict:
        self.channels[channel["id"]] = channel
        self.messages.setdefault(channel["id"], {})
        self.store.put("channel", channel["id"], channel)
        self.feed.tell("channel", channel["members"], channel=channel)
        return channel

    def channel(self, ref: str, seen_by: str = BOT_USER_ID) -> dict:
        """A channel by id, #name or name; a user's id or @handle means the direct conversation with the app.

        Refusal channel_not_found, also for a private conversation of others.
        """
        ref = str(ref or "")
        for channel in self.channels.values():
            named = ref == channel["id"] or (channel["name"] and ref.removeprefix("#") == channel["name"])
            if named and (channel["kind"] == "channel" or seen_by in channel["members"]):
                return channel
        if ref.startswith(("U", "@")):
            try:
                user = self.user(ref)
            except Refusal:
                raise Refusal("channel_not_found") from None
            if not user["is_bot"] and seen_by in (user["id"], BOT_USER_ID):
                return self.dm(user["id"])
        raise Refusal("channel_not_found")

    # -- messages

    def message(self, channel: str, ts: str) -> dict:
        message = self.messages[channel].get(str(ts))
        if message is None:
            raise Refusal("message_not_found")
        return message

    def keep(self, message: dict) -> None:
        if message.get("ephemeral_to"):
            self.ephemeral[message["ts"]] = message
        else:
            self.messages[message["channel"]][message["ts"]] = message
            self.store.put("message", f"{message['channel']} {message['ts']}", message)
        self.feed.tell("message", self.audience(message), message=message)

    def forget(self, message: dict) -> None:
        if message.get("ephemeral_to"):
            self.ephemeral.pop(message["ts"], None)
        else:
            self.messages[message["channel"]].pop(message["ts"], None)
            self.store.drop("message", f"{message['channel']} {message['ts']}")
        self.feed.tell("gone", self.audience(message), channel=message["channel"], ts=message["ts"])

    def audience(self, message: dict) -> list[str]:
        if message.get("ephemeral_to"):
            return [message["ephemeral_to"]]
        return self.channels[message["channel"]]["members"]


def now() -> int:
    return int(time.time())


def users(seed: Seed) -> dict[str, dict]:
    """Slack's user objects for the members, the app's bot and Slackbot, by id."""
    made = {}
    for member in seed.members:
        real_name = member.real_name or member.name.capitalize()
        email = member.email or f"{member.name}@example.com"
        made[member.id] = user_object(member.id, member.name, real_name, email=email, title=member.title)
    made[BOT_USER_ID] = user_object(BOT_USER_ID, seed.bot_name, seed.bot_name, bot=True)
    made[SLACKBOT_ID] = user_object(SLACKBOT_ID, "slackbot", "Slackbot", bot=True)
    return made


def user_object(user_id: str, name: str, real_name: str, email: str = "", title: str = "", bot: bool = False) -> dict:
    profile = {"real_name": real_name, "display_name": name, "title": title, "email": email}
    if bot:
        del profile["email"]
        profile.update(bot_id=BOT_ID, api_app_id=APP_ID)
    return {
        "id": user_id,
        "team_id": TEAM_ID,
        "name": name,
        "real_name": real_name,
        "deleted": False,
        "is_bot": bot,
        "is_app_user": False,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "updated": 0,
        "profile": profile,
    }
