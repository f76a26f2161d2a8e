"""conversations.*: where things are said, and what was said."""

import re

from lab.slack.arguments import flag, need, page
from lab.slack.messages import public, thread, top_level
from lab.slack.methods import method
from lab.slack.refusals import Refusal
from lab.slack.seed import BOT_USER_ID, capitals
from lab.slack.team import Team

NAME = re.compile(r"[a-z0-9_\-]{1,80}")


def shown(team: Team, channel: dict) -> dict:
    kind = channel["kind"]
    described = {
        "id": channel["id"],
        "created": channel["created"],
        "is_channel": kind == "channel",
        "is_group": False,
        "is_im": kind == "im",
        "is_mpim": kind == "mpim",
        "is_private": kind != "channel",
        "is_archived": False,
        "is_member": BOT_USER_ID in channel["members"],
        "num_members": len(channel["members"]),
        "topic": {"value": channel["topic"], "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }
    if kind == "im":
        return {**described, "user": next(one for one in channel["members"] if one != BOT_USER_ID)}
    return {**described, "name": channel["name"], "name_normalized": channel["name"]}


@method("conversations.list")
def listed(team: Team, args: dict) -> dict:
    kinds = {"public_channel": "channel", "im": "im", "mpim": "mpim", "private_channel": "group"}
    wanted = [one.strip() for one in str(args.get("types") or "public_channel").split(",")]
    if not set(wanted) <= set(kinds):
        raise Refusal("invalid_types")
    rows = [shown(team, one) for one in team.channels.values() if one["kind"] in [kinds[kind] for kind in wanted]]
    rows, cursor = page(args, rows, 100)
    return {"channels": rows, "response_metadata": cursor}


@method("conversations.info")
def info(team: Team, args: dict) -> dict:
    need(args, "channel")
    return {"channel": shown(team, team.channel(args["channel"]))}


@method("conversations.members")
def members(team: Team, args: dict) -> dict:
    need(args, "channel")
    rows, cursor = page(args, team.channel(args["channel"])["members"], 100)
    return {"members": rows, "response_metadata": cursor}


def between(args: dict, rows: list[dict]) -> list[dict]:
    oldest, latest, inclusive = args.get("oldest"), args.get("latest"), flag(args, "inclusive")
    if oldest:
        rows = [one for one in rows if float(one["ts"]) > float(oldest) or (inclusive and one["ts"] == oldest)]
    if latest:
        rows = [one for one in rows if float(one["ts"]) < float(latest) or (inclusive and one["ts"] == latest)]
    return rows


@method("conversations.history")
def history(team: Team, args: dict) -> dict:
    need(args, "channel")
    channel = team.channel(args["channel"])
    if BOT_USER_ID not in channel["members"]:
        raise Refusal("not_in_channel")
    rows = between(args, top_level(team, channel["id"]))[::-1]
    rows, cursor = page(args, rows, 100, 999)
    rows = [public(one, flag(args, "include_all_metadata")) for one in rows]
    return {"messages": rows, "has_more": bool(cursor["next_cursor"]), "response_metadata": cursor}


@method("conversations.replies")
def replies(team: Team, args: dict) -> dict:
    need(args, "channel", "ts")
    channel = team.channel(args["channel"])
    if BOT_USER_ID not in channel["members"]:
        raise Refusal("not_in_channel")
    found = thread(team, channel["id"], args["ts"])
    rows, cursor = page(args, found[:1] + between(args, found[1:]), 1000)
    rows = [public(one, flag(args, "include_all_metadata")) for one in rows]
    return {"messages": rows, "has_more": bool(cursor["next_cursor"]), "response_metadata": cursor}


@method("conversations.open")
def open_conversation(team: Team, args: dict) -> dict:
    if args.get("channel"):
        channel = team.channel(args["channel"])
    else:
        need(args, "users")
        wanted = args["users"] if isinstance(args["users"], list) else str(args["users"]).split(",")
        users = [team.user(one.strip())["id"] for one in wanted]
        if BOT_USER_ID in users:
            raise Refusal("cannot_dm_bot")
        channel = team.dm(*users)
    return {"channel": shown(team, channel) if flag(args, "return_im") else {"id": channel["id"]}}


@method("conversations.create")
def create(team: Team, args: dict) -> dict:
    need(args, "name")
    if not NAME.fullmatch(args["name"]):
        raise Refusal("invalid_name_specials")
    if any(one["name"] == args["name"] for one in team.channels.values()):
        raise Refusal("name_taken")
    if "C0" + capitals(args["name"]) in team.channels:
        raise Refusal("name_taken")
    return {"channel": shown(team, team.add_channel(args["name"]))}


@method("conversations.join")
def join(team: Team, args: dict) -> dict:
    need(args, "channel")
    channel = team.channel(args["channel"])
    if channel["kind"] != "channel":
        raise Refusal("method_not_supported_for_channel_type")
    if BOT_USER_ID in channel["members"]:
        return {"channel": shown(team, channel), "warning": "already_in_channel"}
    channel = team.keep_channel({**channel, "members": [*channel["members"], BOT_USER_ID]})
    return {"channel": shown(team, channel)}
