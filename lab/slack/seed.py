"""Who and what is in the workspace when it opens: people, channels, groups, the app and its slash commands."""

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

TEAM_ID = "T0LAB"
APP_ID = "A0DAYZERO"
BOT_ID = "B0DAYZERO"
BOT_USER_ID = "U0DAYZERO"
SLACKBOT_ID = "USLACKBOT"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A human of the workspace. `name` is the handle; the id is `U0` + the name in capitals."""

    name: str
    real_name: str = ""
    title: str = ""
    email: str = ""

    @property
    def id(self) -> str:
        return "U0" + capitals(self.name)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A public channel. The app hears and posts only where `bot` is true or where it joins."""

    name: str
    topic: str = ""
    bot: bool = True


@dataclass(frozen=True, kw_only=True)
class Group:
    """A user group (`@approvers`) and the handles in it."""

    handle: str
    name: str = ""
    members: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return "S0" + capitals(self.handle)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A slash command as the app's manifest would register it."""

    name: str
    description: str = ""
    usage: str = ""


MEMBERS = (
    Member(name="alice", real_name="Alice", title="approver", email="alice@example.com"),
    Member(name="bob", real_name="Bob", title="researcher", email="bob@example.com"),
    Member(name="dana", real_name="Dana", title="developer", email="dana@example.com"),
)
CHANNELS = (
    Channel(name="models", topic="New open-weights models, minute by minute"),
    Channel(name="research", topic="Jobs, preemptions, results"),
    Channel(name="grading", topic="Answers that need a human eye"),
)
GROUPS = (Group(handle="approvers", name="Approvers", members=("alice",)),)
COMMANDS = (
    Command(name="/deploy", description="Serve a model of the Hub", usage="org/name[@revision]"),
    Command(name="/status", description="What runs, what waits", usage="[model]"),
    Command(name="/approve", description="Approve a waiting release", usage="model"),
    Command(name="/promote", description="Give a model to more people", usage="model [preview|stable]"),
    Command(name="/retire", description="Stop serving a model", usage="model"),
    Command(name="/retry", description="Try a broken step again", usage="model"),
    Command(name="/abandon", description="Give up on a deployment", usage="model"),
    Command(name="/history", description="Everything that happened to a model", usage="model"),
    Command(name="/models", description="Models that answer now"),
    Command(name="/grade", description="Grade answers by hand", usage="[model]"),
    Command(name="/gauntlet", description="Run the Gauntlet again", usage="model"),
    Command(name="/usage", description="Tokens and cost", usage="[team]"),
    Command(name="/key", description="Get a key for the gateway"),
    Command(name="/dayzero", description="Talk to dayzero", usage="help"),
)


@dataclass(frozen=True, kw_only=True)
class Seed:
    """Everything a workspace is opened with. Ids follow from the names, so they are the same in every run.

    `retry_delays`: seconds before an event that nobody acknowledged is sent again (Slack waits minutes; the lab does
    not). `events`: the app's subscriptions. `ack_within` and `trigger_lives` are Slack's three seconds.
    """

    team: str = "lab"
    bot_name: str = "dayzero"
    bot_token: str = "xoxb-lab"
    app_token: str = "xapp-lab"
    signing_secret: str = "lab-signing-secret"
    members: tuple[Member, ...] = MEMBERS
    channels: tuple[Channel, ...] = CHANNELS
    groups: tuple[Group, ...] = GROUPS
    commands: tuple[Command, ...] = COMMANDS
    events: tuple[str, ...] = ("app_mention", "message.channels", "message.im", "app_home_opened")
    ack_within: float = 3.0
    trigger_lives: float = 3.0
    retry_delays: tuple[float, ...] = (1.0, 5.0, 30.0)


def load_seed(path: Path) -> Seed:
    """Read a seed from a TOML or JSON file with the keys of `Seed`; what is missing keeps its default.

    Raises ValueError naming the key that is not known and the ones that are.
    """
    text = path.read_text(encoding="utf-8")
    given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    rows = {"members": Member, "channels": Channel, "groups": Group, "commands": Command}
    known(given, Seed, path)
    for key, row in rows.items():
        if key in given:
            given[key] = tuple(row(**frozen(known(one, row, path))) for one in given[key])
    return Seed(**frozen(given))


def capitals(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalnum())


def known(given: dict, row: type, path: Path) -> dict:
    names = [field.name for field in fields(row)]
    for key in given:
        if key not in names:
            raise ValueError(f"{path}: no such key {key!r}; {row.__name__} has {', '.join(names)}")
    return given


def frozen(given: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
